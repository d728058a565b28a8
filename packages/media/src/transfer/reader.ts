// Reading a file while it comes: follows what is on disk, holds up nobody, and sees the end only of what is right.
// docs/protocol/04 §7.2. Proof: transfer/receiving.test.ts (wrong bytes), transfer/transfers.test.ts.
import type { Listen } from '@jamikit/core/contracts'
import { BLOCK_BYTES } from '../defaults.ts'

/** A file that comes. */
export interface Followed {
  readonly sizeBytes: number
  /** More can be read, it is over, or what was read was wrong. */
  readonly onNews: Listen<'more' | 'wrong'>
  /** How far readers may go. */
  readable(): number
  /** All of it is here and right. */
  isWhole(): boolean
  isOver(): boolean
  /** Rejects with what it failed of. */
  readonly over: Promise<void>
  read(at: number, length: number): Promise<Uint8Array>
  wrong(): Error
}

/** All blocks from the first one on. @throws what it fails of; `wrong()` when what was given before was */
export async function* follow(file: Followed): AsyncGenerator<Uint8Array> {
  let at = 0
  let wrong = false
  let wake = (): void => {}
  const off = file.onNews((news) => {
    wrong ||= news === 'wrong' && at > 0
    wake()
  })
  try {
    while (at < file.sizeBytes || !file.isWhole()) {
      if (wrong) throw file.wrong()
      if (file.isOver() && !file.isWhole()) await file.over // throws
      const readable = file.readable()
      const bytes = at < readable ? await file.read(at, Math.min(BLOCK_BYTES, readable - at)) : undefined
      if (bytes?.length) {
        yield bytes
        at += bytes.length
      } else if (!bytes) {
        await new Promise<void>((resolve) => {
          wake = resolve
          if (file.isOver() || file.readable() > at) resolve()
        })
      }
    }
  } finally {
    off()
  }
}
