// Shares of incoming requests by class and account: what one has used up, the others still have.
import type { PeerClass, PeerIdentity } from '@jamikit/core/contracts'
import { testIdentity, testPeer } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { LOOKUPS_PER_MINUTE, MAX_COUNTED_DEVICES, MAX_LOOKUPS, NEGOTIATIONS, REQUESTS_PER_DEVICE_MINUTE } from '../defaults.ts'
import { Admission, classOf, type Leave } from './admission.ts'

const base = testPeer(testIdentity(0))
/** Device `d` of account `a`. */
const peer = (a: number, d = 0) => ({ ...base, accountId: `account${a}`, deviceId: `device${a}.${d}` }) as unknown as PeerIdentity

function fill(admission: Admission, kind: PeerClass, accounts: number, each: number): Leave[] {
  const left: Leave[] = []
  for (let a = 0; a < accounts; a++) for (let d = 0; d < each; d++) {
    const leave = admission.enter(peer(a, d), kind, 0)
    if (leave) left.push(leave)
  }
  return left
}

describe('admission', () => {
  it.each(['own', 'contact', 'member', 'stranger'] as const)('%s: so many of one account, so many in all; who leaves makes room, once', (kind) => {
    const admission = new Admission()
    const { total, perAccount } = NEGOTIATIONS[kind]
    expect(fill(admission, kind, 1, 500).length).toBe(perAccount)
    const all = fill(new Admission(), kind, 500, perAccount)
    expect(all.length).toBe(total)
    const full = new Admission()
    const [first] = fill(full, kind, 500, perAccount)
    expect(full.enter(peer(900), kind, 0)).toBeUndefined()
    first?.()
    first?.()
    expect(full.enter(peer(900), kind, 0)).toBeDefined()
    expect(full.enter(peer(901), kind, 0)).toBeUndefined()
  })

  it('the classes, and the look-ups of unknown ones, have nothing to do with each other', () => {
    const admission = new Admission()
    for (let i = 0; i < 100; i++) admission.look(0)
    fill(admission, 'stranger', 500, 10)
    expect(admission.enter(peer(1), 'member', 0)).toBeDefined()
    fill(admission, 'member', 500, 10)
    expect(admission.enter(peer(1), 'contact', 0)).toBeDefined()
    fill(admission, 'contact', 500, 100)
    expect(admission.enter(peer(1), 'own', 0)).toBeDefined()
  })

  it('a device has so many a minute, whatever other devices ask', () => {
    const admission = new Admission()
    const ask = (p: PeerIdentity, nowMs: number) => {
      const leave = admission.enter(p, 'contact', nowMs)
      leave?.()
      return leave !== undefined
    }
    const results = Array.from({ length: REQUESTS_PER_DEVICE_MINUTE + 5 }, () => ask(peer(1), 0))
    expect(results.filter(Boolean).length).toBe(REQUESTS_PER_DEVICE_MINUTE)
    expect([ask(peer(1, 2), 0), ask(peer(1), 60_000)]).toEqual([true, true])
    // neither strangers nor a few other devices make it forgotten: when there is no more room the one goes that asked longest ago
    const again = new Admission()
    const exhaust = (p: PeerIdentity) => {
      for (let i = 0; i < REQUESTS_PER_DEVICE_MINUTE; i++) again.enter(p, 'contact', 0)?.()
    }
    exhaust(peer(3))
    exhaust(peer(1))
    for (let i = 0; i < 2 * MAX_COUNTED_DEVICES; i++) again.enter(peer(2, i), 'stranger', 0)?.()
    for (let i = 0; i < MAX_COUNTED_DEVICES - 1; i++) again.enter(peer(2, i), 'contact', 0)?.()
    expect([again.enter(peer(1), 'contact', 0), again.enter(peer(3), 'contact', 0) === undefined]).toEqual([undefined, false])
  })

  it('look-ups are bounded at once and in a minute', () => {
    const admission = new Admission()
    const looking = Array.from({ length: MAX_LOOKUPS + 5 }, () => admission.look(0)).filter((leave) => leave !== undefined)
    expect(looking.length).toBe(MAX_LOOKUPS)
    for (const leave of looking) leave()
    let count = looking.length
    for (let i = 0; i < 2 * LOOKUPS_PER_MINUTE; i++) {
      const leave = admission.look(0)
      leave?.()
      if (leave) count++
    }
    expect(count).toBe(LOOKUPS_PER_MINUTE)
    expect(admission.look(60_000)).toBeDefined()
  })

  it('a policy that tells nobody apart: whom it allows is a contact', () => {
    expect([classOf({ allowsLink: () => true }, base), classOf({ allowsLink: () => false }, base), classOf({ allowsLink: () => true, classOf: () => 'own' }, base)]).toEqual(['contact', 'stranger', 'own'])
  })
})
