// What media is for an account: files, and room for what comes beside them. Wiring only. Proof: transfer/transfers.test.ts.
import type { MediaModule } from '@jamikit/core/contracts'
import { FileTransfers } from './transfer/transfers.ts'

/** Media for createJamiNode(). */
export function media(): MediaModule {
  return (env) => {
    const transfers = new FileTransfers(env)
    return { transfers, start: () => transfers.start(), stop: () => transfers.stop() }
  }
}
