// The stored throw-away pool: every chain verifies, every id is its own.
import { describe, expect, it } from 'vitest'
import { utf8 } from '../codec/bytes.ts'
import { rsaSignSync, rsaVerifySync } from '../crypto/rsa.ts'
import { ethAddressOf } from '../identity/eth.ts'
import { verifyPeerChain } from '../identity/verify-chain.ts'
import { TEST_IDENTITIES, testIdentity, testPeer } from './test-identities.ts'

describe('testIdentity', () => {
  it('has 20 accounts whose chains verify today and in the manual clock\'s year', () => {
    const ids = new Set<string>()
    for (let i = 0; i < TEST_IDENTITIES; i++) {
      const { device, accountKey, accountChain, caKey, ethKey } = testIdentity(i)
      for (const nowMs of [Date.UTC(2026, 0, 1), Date.now()]) {
        const peer = verifyPeerChain(device.chain, { nowMs })
        expect([peer.accountId, peer.deviceId]).toEqual([device.accountId, device.deviceId])
      }
      expect(accountKey.publicKey).toEqual(accountChain[0].publicKey)
      expect(caKey?.publicKey).toEqual(accountChain[1]?.publicKey)
      expect(device.privateKey.publicKey).toEqual(device.chain[0].publicKey)
      expect(rsaVerifySync(device.chain[0].publicKey, utf8('x'), rsaSignSync(device.privateKey, utf8('x')))).toBe(true)
      expect(ethAddressOf(ethKey)).toHaveLength(40)
      ids.add(device.accountId).add(device.deviceId)
    }
    expect(TEST_IDENTITIES).toBeGreaterThanOrEqual(16)
    expect(ids.size).toBe(2 * TEST_IDENTITIES)
  })

  it('has three devices for some accounts', () => {
    const devices = [0, 1, 2].map((device) => testPeer(testIdentity(0, device)))
    expect(new Set(devices.map((peer) => peer.accountId)).size).toBe(1)
    expect(new Set(devices.map((peer) => peer.deviceId)).size).toBe(3)
  })

  it('says when the pool has no such account or device', () => {
    expect(() => testIdentity(TEST_IDENTITIES)).toThrow(/ throw-away pool: got 21/)
    expect(() => testIdentity(TEST_IDENTITIES - 1, 1)).toThrow(/devices of account 19/)
  })

  it('gives the same object each time', () => {
    expect(testIdentity(5)).toBe(testIdentity(5))
  })
})
