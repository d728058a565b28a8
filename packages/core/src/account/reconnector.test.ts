// When a contact that is announced gets another attempt: at once, then with growing waits, never while connected.
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../base/logger.ts'
import type { PresenceState } from '../contracts/account.ts'
import type { AccountUri } from '../contracts/ids.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { BACKOFF_FIRST_MS, BACKOFF_MAX_MS, Reconnector } from './reconnector.ts'

const peer = '1'.repeat(40) as AccountUri

function lab() {
  const clock = new ManualClock()
  const attempts: number[] = []
  let listener: ((change: { account: AccountUri; state: PresenceState }) => void) | undefined
  let state: PresenceState = 'offline'
  const me = { confirmed: true }
  const reconnector = new Reconnector({
    clock, random: new SeededRandom('backoff'), logger: silentLogger,
    presence: { state: () => state, onChange: (fn) => { listener = fn; return () => { listener = undefined } } },
    contacts: { isConfirmed: () => me.confirmed, isContact: () => true, isBanned: () => false, conversationWith: () => undefined },
    messages: { connect: () => attempts.push(clock.now()) },
  })
  reconnector.start()
  const become = (next: PresenceState) => {
    state = next
    listener?.({ account: peer, state: next })
  }
  return { clock, attempts, reconnector, become, me }
}

describe('the reconnector', () => {
  it('tries at once when a confirmed contact is announced, then with waits that grow from a second to five minutes at most', async () => {
    const { clock, attempts, reconnector, become } = lab()
    const start = clock.now()
    become('available')
    await clock.advance(0)
    expect(attempts).toEqual([start])
    await clock.advance(86_400_000)
    const waits = attempts.slice(1).map((at, i) => at - (attempts[i] ?? 0))
    for (const [i, wait] of waits.entries()) expect(wait).toBeLessThanOrEqual(Math.min(BACKOFF_FIRST_MS * 2 ** (i + 1), BACKOFF_MAX_MS))
    expect(Math.max(...waits)).toBeGreaterThan(BACKOFF_MAX_MS / 2)
    expect(new Set(waits.slice(-10)).size).toBeGreaterThan(5) // jitter: contacts of one bot do not come in step
    expect(attempts.length).toBeGreaterThan(86_400_000 / BACKOFF_MAX_MS)
    reconnector.stop()
    expect(clock.pending()).toEqual([])
  })

  it.each<PresenceState>(['connected', 'offline'])('stops when the contact is %s, and begins anew when it is announced again', async (state) => {
    const { clock, attempts, reconnector, become } = lab()
    become('available')
    await clock.advance(3_600_000)
    become(state)
    const before = attempts.length
    await clock.advance(3_600_000)
    expect(attempts.length).toBe(before)
    become('available')
    await clock.advance(0)
    expect(attempts.length).toBe(before + 1)
    await clock.advance(2 * BACKOFF_FIRST_MS)
    expect(attempts.length).toBeGreaterThan(before + 1)
    reconnector.stop()
  })

  it('starts the waits over when the network is back', async () => {
    const { clock, attempts, reconnector, become } = lab()
    become('available')
    await clock.advance(3_600_000)
    const before = attempts.length
    reconnector.retry()
    await clock.advance(0)
    expect(attempts.length).toBe(before + 1)
    reconnector.stop()
  })

  it('does nothing for contacts that have not confirmed, and stops when one is removed', async () => {
    const { clock, attempts, reconnector, become, me } = lab()
    me.confirmed = false
    become('available')
    await clock.advance(3_600_000)
    expect(attempts).toEqual([])
    me.confirmed = true
    become('available')
    await clock.advance(0)
    me.confirmed = false
    await clock.advance(3_600_000)
    expect(attempts.length).toBe(1)
    expect(clock.pending()).toEqual([])
    reconnector.stop()
  })
})
