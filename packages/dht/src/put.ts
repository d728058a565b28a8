// One put: announced in every family that has nodes, confirmed or failed in time, kept alive when permanent. docs/protocol/01 §3.6.
// Proof: dht.test.ts, contract.test.ts.
import { abortError, JamiError, type Source } from '@jamikit/core/base'
import type { Clock, DhtPutResult, DhtStatus, InfoHash } from '@jamikit/core/contracts'
import { PUT_TIMEOUT_MS } from './defaults.ts'
import type { DhtEngine } from './engine/engine.ts'
import type { Value } from './wire/value.ts'

export interface PutShell {
  readonly clock: Clock
  readonly engine: DhtEngine
  readonly status: Source<{ ipv4: DhtStatus; ipv6: DhtStatus }>
  /** Something may be due earlier than before. */
  schedule(): void
}

export function announce(shell: PutShell, key: InfoHash, value: Value, permanent: boolean, signal: AbortSignal): Promise<DhtPutResult> {
  const { clock, engine } = shell
  return new Promise((resolve, reject) => {
    let storedBy = 0
    let cancelled = false
    let over = false
    const waiting = new Set<4 | 6>(engine.enabledFamilies())
    engine.storeOwn(key, value, permanent, clock.now())
    const cancel = () => {
      if (cancelled) return
      cancelled = true
      cancelOps?.()
      if (permanent) engine.removeOwn(key, value.id)
      shell.schedule()
    }
    const settle = () => {
      timer.cancel()
      offStatus()
      signal.removeEventListener('abort', onAbort)
    }
    const onAbort = () => {
      settle()
      cancel()
      reject(abortError(signal))
    }
    const check = () => {
      const status = engine.status()
      for (const family of waiting) if (storedBy === 0 || status[family === 4 ? 'ipv4' : 'ipv6'] === 'connected') return
      done()
    }
    const done = () => {
      settle()
      over = true
      if (!permanent) cancelOps?.() // in a family without nodes it would wait for ever
      if (!permanent) cancelled = true
      resolve({ id: value.id, storedBy, cancel })
    }
    const timer = clock.after(PUT_TIMEOUT_MS, () => {
      if (storedBy > 0) return done()
      settle()
      cancel()
      reject(new JamiError('ERR_DHT_UNREACHABLE', `no node confirmed the value within ${PUT_TIMEOUT_MS} ms`, { details: { timeoutMs: PUT_TIMEOUT_MS } }))
    })
    const offStatus = shell.status.listen(check)
    signal.addEventListener('abort', onAbort, { once: true })
    let cancelOps: (() => void) | undefined
    cancelOps = engine.run(key, (family) => ({
      kind: 'put', value, permanent,
      onAnnounced: (count) => {
        waiting.delete(family)
        storedBy += count
        check()
      },
    }), clock.now())
    if (over && !permanent) cancelOps()
    shell.schedule()
  })
}
