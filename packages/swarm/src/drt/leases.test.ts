// Leases of mobile devices: made and checked with real keys, refused for each reason; where certificates are looked for, and what is not.
import { utf8 } from '@jamikit/core/codec'
import type { AccountUri, DeviceId, PeerIdentity } from '@jamikit/core/contracts'
import { chainToPem } from '@jamikit/core/identity'
import { testCrypto, testIdentity, testPeer } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { fitCertificates, isBetterLease, isLeaseGood, leaseTimes, needsRenewal, signLease, whyNotPlausible } from './leases.ts'
import { CERTIFICATE_TIMEOUT_MS, LEASE_LIFETIME_S, LEASE_RENEWAL_S, MAX_CERTIFICATE_IDS, MAX_LEASE_LOOKUPS, MAX_PENDING_LEASES } from './limits.ts'
import { PendingLeases } from './pending-leases.ts'
import type { MobileLease } from './wire.ts'

const crypto = testCrypto()
const alice = testIdentity(0).device
const other = testIdentity(0, 1).device
const bob = testIdentity(1).device
const conversation = 'c'.repeat(40)
const endMs = alice.chain[0].notAfterMs
const nowS = Math.floor(alice.chain[0].notBeforeMs / 1000) + 1000
const times = leaseTimes(nowS, endMs) as { issuedAt: number; expiresAt: number }
const lease = await signLease(crypto, alice, conversation, times)
const context = { conversation, isMember: (account: AccountUri) => account === alice.accountId, nowS }

describe('leases', () => {
  it('SWM-23 what our device signs is plausible and good to others', async () => {
    expect(times).toEqual({ issuedAt: nowS, expiresAt: nowS + LEASE_LIFETIME_S })
    expect(whyNotPlausible(lease, alice.deviceId, context)).toBeUndefined()
    expect(await isLeaseGood(crypto, lease, testPeer(alice))).toBe(true)
  })

  it('a lease ends with the certificate at the latest, and is renewed two weeks before its end', () => {
    expect(leaseTimes(nowS, (nowS + 60) * 1000)?.expiresAt).toBe(nowS + 60)
    expect(leaseTimes(nowS, nowS * 1000)).toBeUndefined()
    expect([needsRenewal(undefined, nowS), needsRenewal(lease, nowS), needsRenewal(lease, lease.expiresAt - LEASE_RENEWAL_S), needsRenewal(lease, lease.expiresAt - LEASE_RENEWAL_S + 1)]).toEqual([true, false, false, true])
  })

  it.each<[string, Partial<MobileLease>]>([
    ['format 2', { format: 2 }],
    ['no conversation', { conversation: '' }],
    ['another conversation', { conversation: 'd'.repeat(40) }],
    ['no signature', { signature: new Uint8Array(0) }],
    ['a signature of 1,025 bytes', { signature: new Uint8Array(1_025) }],
    ['an account that is no member', { issuer: bob.accountId }],
    ['a device that is not the one of the entry', { device: bob.deviceId }],
    ['a time of issue more than 300 s ahead', { issuedAt: nowS + 301, expiresAt: nowS + 1000 }],
    ['an end that has come', { issuedAt: nowS - 10, expiresAt: nowS }],
    ['an end before its beginning', { issuedAt: nowS + 200, expiresAt: nowS + 100 }],
    ['more than 30 days', { expiresAt: nowS + LEASE_LIFETIME_S + 1 }],
  ])('SWM-23 is not looked at with %s', (_, fields) => {
    expect(whyNotPlausible({ ...lease, ...fields }, alice.deviceId, context)).toBeTypeOf('string')
  })

  it('a long conversation id is not compared', () => {
    const long = 'é'.repeat(65)
    expect(whyNotPlausible({ ...lease, conversation: long }, alice.deviceId, { ...context, conversation: long })).toBe('of another conversation')
  })

  it.each<[string, Partial<MobileLease>, PeerIdentity]>([
    ['the certificate of another device', {}, testPeer(other)],
    ['another issuer', { issuer: bob.accountId }, testPeer(alice)],
    ['a time that was changed', { expiresAt: lease.expiresAt - 1 }, testPeer(alice)],
    ['a signature of another device', { device: other.deviceId }, testPeer(other)],
    ['an end after that of the certificate', { expiresAt: Math.floor(endMs / 1000) + 1 }, testPeer(alice)],
    ['a short signature', { signature: utf8('no') }, testPeer(alice)],
  ])('SWM-23 is not good with %s', async (_, fields, peer) => {
    expect(await isLeaseGood(crypto, { ...lease, ...fields }, peer)).toBe(false)
  })

  it('the better lease ends later, or was issued later', () => {
    const by = (expiresAt: number, issuedAt: number) => ({ ...lease, expiresAt, issuedAt })
    expect([isBetterLease(by(2, 1), undefined), isBetterLease(by(2, 1), by(1, 9)), isBetterLease(by(2, 2), by(2, 1)), isBetterLease(by(2, 1), by(2, 1)), isBetterLease(by(1, 9), by(2, 1))]).toEqual([true, true, true, false, false])
  })

  it('certificates to send fit the bounds of an answer', () => {
    const sizes = [65_536, 65_537, 65_536, 65_536, 65_536, 1]
    expect(fitCertificates(sizes.map((n) => new Uint8Array(n))).map((c) => c.length)).toEqual([65_536, 65_536, 65_536, 65_536])
  })
})

/** Pending leases whose actions are written down. */
function lab(options: { canAsk?: boolean; mayLookUp?: boolean } = {}) {
  const found: string[] = []
  const asked: { peer: DeviceId; ids: readonly DeviceId[] }[] = []
  const checked: DeviceId[] = []
  const pending = new PendingLeases({
    find: (device, _, where) => found.push(`${where} ${device}`),
    ask: (peer, ids) => asked.push({ peer, ids }),
    canAsk: () => options.canAsk ?? true,
    mayLookUp: () => options.mayLookUp ?? true,
    check: ({ device }) => checked.push(device),
  })
  return { pending, found, asked, checked }
}
const pem = (identity: typeof alice) => utf8(chainToPem(identity.chain))
const wallMs = nowS * 1000
const numbered = (i: number, from = 0): MobileLease => ({ ...lease, device: (from * 1000 + i).toString(16).padStart(64, '0') as DeviceId, expiresAt: nowS + 1000 + i })

describe('leases that wait for a certificate', () => {
  it('are checked with what is here; else the peer is asked, then the DHT, then they are dropped', () => {
    const here = lab()
    here.pending.add(lease, bob.deviceId)
    here.pending.found(alice.deviceId, 'here', testPeer(alice), 0)
    expect([here.checked, here.asked, here.pending.size]).toEqual([[alice.deviceId], [], 0])
    const { pending, found, asked, checked } = lab()
    pending.add(lease, bob.deviceId)
    pending.found(alice.deviceId, 'here', undefined, 0)
    expect([found, asked]).toEqual([[`here ${alice.deviceId}`], [{ peer: bob.deviceId, ids: [alice.deviceId] }]])
    expect(pending.nextMs).toBe(CERTIFICATE_TIMEOUT_MS)
    pending.tick(CERTIFICATE_TIMEOUT_MS)
    expect(found[1]).toBe(`dht ${alice.deviceId}`)
    pending.found(alice.deviceId, 'dht', undefined, CERTIFICATE_TIMEOUT_MS)
    expect([pending.size, checked]).toEqual([0, []])
  })

  it('a certificate that the peer sends is used for the lease it brought', () => {
    const { pending, checked } = lab()
    pending.add(lease, bob.deviceId)
    pending.found(alice.deviceId, 'here', undefined, 0)
    expect(pending.answered(bob.deviceId, [utf8('nonsense'), pem(alice)], 0, wallMs)).toBe(true)
    expect(checked).toEqual([alice.deviceId])
  })

  it('unsolicited certificates are not looked at, nor those of devices that were not asked for, nor broken ones', () => {
    const { pending, found, checked } = lab()
    expect(pending.answered(bob.deviceId, [pem(alice)], 0, wallMs)).toBe(false)
    pending.add(lease, bob.deviceId)
    expect(pending.answered(bob.deviceId, [pem(alice)], 0, wallMs)).toBe(false)
    pending.found(alice.deviceId, 'here', undefined, 0)
    expect(pending.answered(other.deviceId, [pem(alice)], 0, wallMs)).toBe(false)
    expect(pending.answered(bob.deviceId, [pem(bob)], 0, wallMs)).toBe(true)
    expect(checked).toEqual([])
    expect(found.at(-1)).toBe(`dht ${alice.deviceId}`)
    expect(pending.answered(bob.deviceId, [pem(alice)], 0, wallMs)).toBe(false) // the question is over
  })

  it('one question to a peer at a time, of at most 16; the rest comes after the answer', () => {
    const { pending, asked } = lab()
    const leases = Array.from({ length: 20 }, (_, i) => numbered(i))
    for (const l of leases) pending.add(l, bob.deviceId)
    for (const l of leases) pending.found(l.device, 'here', undefined, 0)
    expect(asked.map(({ ids }) => ids.length)).toEqual([1])
    pending.answered(bob.deviceId, [], 0, wallMs)
    expect(asked.map(({ ids }) => ids.length)).toEqual([1, MAX_CERTIFICATE_IDS])
  })

  it('a peer that cannot be asked, or that goes, leaves the DHT: a few look-ups at once, and none beyond the rate of the peer', () => {
    const { pending, found, asked } = lab({ canAsk: false })
    const leases = Array.from({ length: 10 }, (_, i) => numbered(i))
    for (const l of leases) pending.add(l, bob.deviceId)
    for (const l of leases) pending.found(l.device, 'here', undefined, 0)
    expect([asked, found.filter((f) => f.startsWith('dht'))]).toEqual([[], leases.slice(0, MAX_LEASE_LOOKUPS).map((l) => `dht ${l.device}`)])
    pending.found(leases[0]?.device as DeviceId, 'dht', undefined, 0)
    expect(found.filter((f) => f.startsWith('dht'))).toHaveLength(MAX_LEASE_LOOKUPS + 1)
    const refused = lab({ canAsk: false, mayLookUp: false })
    refused.pending.add(lease, bob.deviceId)
    refused.pending.found(alice.deviceId, 'here', undefined, 0)
    expect([refused.found, refused.pending.size]).toEqual([[`here ${alice.deviceId}`], 0])
    const left = lab()
    left.pending.add(lease, bob.deviceId)
    left.pending.found(alice.deviceId, 'here', undefined, 0)
    left.pending.gone(bob.deviceId, 0)
    expect(left.found.at(-1)).toBe(`dht ${alice.deviceId}`)
  })

  it('at most 64 wait: who brought most loses the one that expires first, nobody else does', () => {
    const { pending, found } = lab()
    const honest = numbered(0, 7)
    pending.add(honest, other.deviceId)
    for (let i = 0; i < 500; i++) pending.add(numbered(i), bob.deviceId)
    expect(pending.size).toBe(MAX_PENDING_LEASES)
    pending.found(honest.device, 'here', undefined, 0)
    pending.gone(other.deviceId, 0)
    expect(found.at(-1)).toBe(`dht ${honest.device}`) // still there
    pending.add(numbered(0), bob.deviceId)
    expect(found.at(-1)).toBe(`dht ${honest.device}`) // expires before all others of that peer: not taken
  })

  it('what one peer brings never takes the place of what another one did', () => {
    const { pending, checked } = lab()
    pending.add(lease, bob.deviceId)
    pending.add({ ...lease, expiresAt: lease.expiresAt + 1, signature: new Uint8Array(9) }, other.deviceId)
    pending.found(alice.deviceId, 'here', testPeer(alice), 0)
    expect(checked).toEqual([alice.deviceId, alice.deviceId])
  })

  it('an account that is banned has none that waits', () => {
    const { pending } = lab()
    pending.add(lease, bob.deviceId)
    pending.drop(({ issuer }) => issuer === alice.accountId)
    expect(pending.size).toBe(0)
  })
})
