import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { accounts, base64 } from '../../test/vectors.ts'
import { JamiError } from '../base/errors.ts'
import { concatBytes, fromBase64, fromHex, toBase64, toHex, utf8 } from '../codec/bytes.ts'
import { decodeMsgpack, encodeMsgpack, MsgpackRaw } from '../codec/msgpack.ts'
import { sliceMsgpackMap } from '../codec/slices.ts'
import type { DeviceIdentity } from '../contracts/identity.ts'
import { privateKeyFromPem } from '../crypto/keys.ts'
import { rsaSignSync } from '../crypto/rsa.ts'
import { testCrypto } from '../testing/test-crypto.ts'
import { testIdentity } from '../testing/test-identities.ts'
import { encodeAnnouncementData, makeAnnouncement, parseAnnouncementData, verifyAnnouncement } from './announcement.ts'
import { parseChain } from './certificate.ts'
import { ethAddressOf } from './eth.ts'
import { deviceIdOf, parseAccountUri, parseDeviceId, parseInfoHash } from './ids.ts'
import { makeReceipt, type Receipt, verifyReceipt } from './receipt.ts'

const crypto = testCrypto()
const captured = accounts()
const identity = testIdentity(0)
const { device, accountKey, ethKey } = identity
const stranger = testIdentity(1)
const nowMs = device.chain[0].notBeforeMs + 1000
const signed = (text: string, key = accountKey): Receipt => ({ text, signature: rsaSignSync(key, utf8(text)) })
const check = (receipt: Receipt, of: DeviceIdentity = device) => verifyReceipt(crypto, receipt, of, { nowMs })

function capturedDevice(account: (typeof captured)['alice16']): DeviceIdentity {
  const chain = parseChain(account.chainPem)
  return {
    accountId: parseAccountUri(chain[1]?.shortId ?? ''), deviceId: parseDeviceId(chain[0].longId), deviceShortId: parseInfoHash(chain[0].shortId),
    privateKey: privateKeyFromPem(account.deviceKeyPem), chain,
  }
}

/** A receipt around any announcement, properly signed. */
const around = (announcement: Uint8Array) =>
  signed(`{"id":"${device.accountId}","dev":"${device.deviceShortId}","eth":"${'0'.repeat(40)}","announce":"${toBase64(announcement)}"}`)

/** An announcement with a body of our choice, properly signed. */
function announcing(body: Record<string, Uint8Array | number>, key = accountKey): Uint8Array {
  const bytes = encodeMsgpack(body)
  return encodeMsgpack({ id: 0, dat: new MsgpackRaw(encodeMsgpack({ body: new MsgpackRaw(bytes), sig: rsaSignSync(key, bytes) })), p: 1 })
}
const goodBody = { seq: 0, owner: accountKey.publicKey, type: 0, data: encodeAnnouncementData(device.privateKey.publicKey) }

describe('receipts', () => {
  it('ACC-10 those of daemons of 2023 and 2026 verify', async () => {
    for (const account of Object.values(captured)) {
      const of = capturedDevice(account)
      const { announcement, eth } = await verifyReceipt(crypto, { text: account.receipt, signature: base64(account.signature) }, of, { nowMs: of.chain[0].notBeforeMs + 1000 })
      expect(eth).toMatch(/^[0-9a-f]{40}$/)
      expect((await verifyAnnouncement(crypto, announcement)).device?.deviceId).toBe(of.deviceId)
    }
  })

  it('ACC-9 are this exact text, signed by the account key with RSA-SHA512', async () => {
    const { text, signature, announcement } = await makeReceipt(crypto, { accountKey, devicePublicKey: device.privateKey.publicKey, ethKey })
    expect(text).toBe(`{"id":"${device.accountId}","dev":"${device.deviceShortId}","eth":"${ethAddressOf(ethKey)}","announce":"${toBase64(announcement)}"}`)
    expect(signature).toEqual(rsaSignSync(accountKey, utf8(text)))
    expect(await check({ text, signature })).toEqual({ announcement, eth: ethAddressOf(ethKey) })
  })

  it('ACC-9 have the same members in the same order as captured ones', async () => {
    const { text } = await makeReceipt(crypto, { accountKey, devicePublicKey: device.privateKey.publicKey, ethKey })
    for (const { receipt } of Object.values(captured)) {
      expect(Object.keys(JSON.parse(receipt) as object)).toEqual(Object.keys(JSON.parse(text) as object))
      expect(JSON.stringify(JSON.parse(receipt))).toBe(receipt)
    }
  })

  it('without an eth key carry 40 zeros', async () => {
    const { text } = await makeReceipt(crypto, { accountKey, devicePublicKey: device.privateKey.publicKey })
    expect((JSON.parse(text) as { eth: string }).eth).toBe('0'.repeat(40))
  })

  const announcement = announcing(goodBody)
  const text = around(announcement).text
  it.each<[string, string, () => Promise<unknown>]>([
    ['no text', 'ERR_CODEC', () => check({ text: '', signature: Uint8Array.of(1) })],
    ['no signature', 'ERR_CODEC', () => check({ text, signature: new Uint8Array(0) })],
    ['another device key', 'ERR_CERTIFICATE', () => check(around(announcement), { ...device, privateKey: stranger.device.privateKey })],
    ['a chain that does not verify', 'ERR_CERTIFICATE', () => check(around(announcement), { ...device, chain: [device.chain[0], ...stranger.accountChain] })],
    ['a changed text', 'ERR_SIGNATURE', () => check({ ...around(announcement), text: text.replace('"eth":"0', '"eth":"1') })],
    ['a signature by another account', 'ERR_SIGNATURE', () => check(signed(text, stranger.accountKey))],
    ['a signature by the device', 'ERR_SIGNATURE', () => check(signed(text, device.privateKey))],
    ['no JSON', 'ERR_CODEC', () => check(signed('receipt'))],
    ['JSON of another kind', 'ERR_CODEC', () => check(signed('[]'))],
    ['a missing announcement', 'ERR_CODEC', () => check(signed(text.replace('announce', 'announcd')))],
    ['another device', 'ERR_CODEC', () => check(signed(text.replace(device.deviceShortId, stranger.device.deviceShortId)))],
    ['another account', 'ERR_CODEC', () => check(signed(text.replace(device.accountId, stranger.device.accountId)))],
    ['an announcement that is no base64', 'ERR_CODEC', () => check(signed(text.replace(/"announce":"../, '"announce":"!!')))],
    ['an announcement of another account', 'ERR_CODEC', () => check(around(announcing({ ...goodBody, owner: stranger.accountKey.publicKey }, stranger.accountKey)))],
    ['an announcement of another device', 'ERR_CODEC', () => check(around(announcing({ ...goodBody, data: encodeAnnouncementData(stranger.device.privateKey.publicKey) })))],
    ['an announcement without the key', 'ERR_CODEC', () => check(around(announcing({ ...goodBody, data: encodeMsgpack({ dev: fromHex(device.deviceShortId) }) })))],
    ['an announcement somebody else signed', 'ERR_SIGNATURE', () => check(around(announcing(goodBody, stranger.accountKey)))],
    ['an announcement of another type', 'ERR_CODEC', () => check(around(announcing({ ...goodBody, type: 1 })))],
    ['a text of megabytes', 'ERR_CODEC', () => check(signed(`${text.slice(0, -1)},"x":"${'x'.repeat(20_000)}"}`))],
  ])('ACC-10 refuses %s', async (_name, code, attempt) => {
    await expect(attempt()).rejects.toMatchObject({ code })
  })

  it('the base of that table verifies', async () => {
    expect((await check(around(announcement))).announcement).toEqual(announcement)
  })

  it('a clock that is slow, even by decades, does not refuse our own receipt; one past the end does', async () => {
    for (const slow of [0, device.chain[0].notBeforeMs - 600_000]) expect((await verifyReceipt(crypto, around(announcement), device, { nowMs: slow })).announcement).toEqual(announcement)
    await expect(verifyReceipt(crypto, around(announcement), device, { nowMs: device.chain[0].notAfterMs + 1 })).rejects.toMatchObject({ code: 'ERR_CERTIFICATE' })
  })

  it('ACC-10 refuses a revoked device', async () => {
    const work = verifyReceipt(crypto, around(announcement), device, { nowMs, isRevoked: (c) => c.longId === device.deviceId })
    await expect(work).rejects.toMatchObject({ code: 'ERR_DEVICE_REVOKED' })
  })
})

describe('announcements', () => {
  it('ACC-11 ACC-12 are the bytes that daemons write: body of seq, owner, type, data; data of dev, pk', async () => {
    for (const account of Object.values(captured)) {
      const theirs = fromBase64((JSON.parse(account.receipt) as { announce: string }).announce)
      const outer = decodeMsgpack(theirs) as Map<string, Map<string, Map<string, Uint8Array>>>
      const body = outer.get('dat')?.get('body')
      expect([...(body?.keys() ?? [])]).toEqual(['seq', 'owner', 'type', 'data'])
      const spki = parseChain(account.chainPem)[0].publicKey
      expect(body?.get('data')).toEqual(encodeAnnouncementData(spki))
      const ours = sliceMsgpackMap(sliceMsgpackMap(await makeAnnouncement(crypto, { accountKey, devicePublicKey: spki })).get('dat') ?? new Uint8Array(0)).get('body')
      const expected = encodeMsgpack({ seq: 0, owner: accountKey.publicKey, type: 0, data: body?.get('data') ?? null })
      expect(ours).toEqual(expected)
      expect(encodeMsgpack(decodeMsgpack(theirs))).toEqual(theirs)
    }
  })

  it('ACC-11 are verified over the bytes as they came, also when they are not minimal', async () => {
    const body = encodeMsgpack(goodBody)
    const loose = concatBytes(body.subarray(0, 5), fromHex('cd0000'), body.subarray(6)) // seq 0 in three bytes
    expect(toHex(body.subarray(0, 6))).toBe('84a373657100')
    const wrap = (sig: Uint8Array) => encodeMsgpack({ id: 0, dat: new MsgpackRaw(encodeMsgpack({ body: new MsgpackRaw(loose), sig })) })
    expect(await verifyAnnouncement(crypto, wrap(rsaSignSync(accountKey, loose)))).toMatchObject({ accountId: device.accountId, deviceShortId: device.deviceShortId })
    await expect(verifyAnnouncement(crypto, wrap(rsaSignSync(accountKey, body)))).rejects.toMatchObject({ code: 'ERR_SIGNATURE' })
  })

  it('ACC-13 ACC-S5 the account is who signed: a body that names another owner fails', async () => {
    expect((await verifyAnnouncement(crypto, announcing(goodBody))).accountId).toBe(device.accountId)
    expect((await verifyAnnouncement(crypto, announcing({ ...goodBody, owner: stranger.accountKey.publicKey }, stranger.accountKey))).accountId).toBe(stranger.device.accountId)
    await expect(verifyAnnouncement(crypto, announcing(goodBody, stranger.accountKey))).rejects.toMatchObject({ code: 'ERR_SIGNATURE' })
  })

  it('data without pk is read, data with a key that does not fit is refused', () => {
    const dev = fromHex(device.deviceShortId)
    expect(parseAnnouncementData(encodeMsgpack({ dev }))).toEqual({ deviceShortId: device.deviceShortId })
    expect(parseAnnouncementData(encodeAnnouncementData(device.privateKey.publicKey)).device?.deviceId).toBe(deviceIdOf(device.privateKey.publicKey))
    for (const bad of [{}, { dev: dev.subarray(1) }, { dev: 'text' }, { dev, pk: 'text' }, { dev, pk: new Uint8Array(2000) }, { dev, pk: stranger.device.privateKey.publicKey }])
      expect(() => parseAnnouncementData(encodeMsgpack(bad))).toThrow(expect.objectContaining({ code: 'ERR_CODEC' }))
  })

  it('any bytes and any damage are refused with a typed error', async () => {
    const good = announcing(goodBody)
    const outcome = async (bytes: Uint8Array) => {
      const error: unknown = await verifyAnnouncement(crypto, bytes).then(() => undefined, (e: unknown) => e)
      return error === undefined || JamiError.is(error, 'ERR_CODEC') || JamiError.is(error, 'ERR_LIMIT') || JamiError.is(error, 'ERR_SIGNATURE')
    }
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => void expect(await outcome(bytes)).toBe(true)), { numRuns: 5000 })
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), async (at, byte) => {
        const damaged = good.slice()
        damaged[at] = byte
        expect(await outcome(damaged)).toBe(true)
      }),
      { numRuns: 5000 },
    )
  }, 60_000)
})
