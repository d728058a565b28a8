import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { der, derBits, derSequence, derTime, derUnsigned, SHA512_WITH_RSA } from '../../test/der-writer.ts'
import { forge, type ForgeOptions } from '../../test/forge.ts'
import { accounts, base64, identities, vectorBytes, vectorJson } from '../../test/vectors.ts'
import { JamiError } from '../base/errors.ts'
import { concatBytes, toHex } from '../codec/bytes.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { testCrypto } from '../testing/test-crypto.ts'
import { testIdentity } from '../testing/test-identities.ts'
import { parseCertificate, parseChain } from './certificate.ts'
import { TAG } from './der.ts'
import { toPem } from './pem.ts'
import { createRevocationList, parseRevocationList, type RevocationList, verifyRevocationList } from './revocation.ts'
import { verifyPeerChain } from './verify-chain.ts'

/** The list names this certificate. */
const isRevokedBy = (list: RevocationList, certificate: { serialHex: string }) => list.revoked.some(({ serialHex }) => serialHex === certificate.serialHex)
const WALL = Date.UTC(2026, 10, 24)
const env = { crypto: testCrypto(), clock: new ManualClock({ wallTimeMs: WALL }), random: new SeededRandom('crl') }
const [first, second] = [testIdentity(0, 0), testIdentity(0, 1)]
const [account] = first.accountChain
const stranger = testIdentity(1)
const make = (revoke = [first.device.chain[0]], previous?: Awaited<ReturnType<typeof createRevocationList>>) =>
  createRevocationList(env, { issuer: account, issuerKey: first.accountKey, revoke, ...(previous ? { previous } : {}) })

describe('captured revocation lists', () => {
  it('ACC-6 the one of a daemon verifies with its account only, and has a negative number', () => {
    const list = parseRevocationList(vectorBytes('account-crl.der'))
    const [, alice] = parseChain(accounts().alice16.chainPem)
    const [, bob] = parseChain(accounts().bob16.chainPem)
    if (!alice || !bob) throw new Error('unreachable')
    expect([verifyRevocationList(list, alice), verifyRevocationList(list, bob)]).toEqual([true, false])
    expect(Number.parseInt(list.numberHex?.slice(0, 2) ?? '', 16)).toBeGreaterThanOrEqual(0x80)
    expect([list.revoked.length, list.nextUpdateMs]).toEqual([1, alice.notAfterMs])
  })

  it('the ones of OpenDHT agree with it about issuer, number and who is revoked', () => {
    const vector = vectorJson<{ crl: string; numberHex: string; revokedSerialHex: string; updateTime: number; nextUpdateTime: number; certificateRevoke: { crl: string; numberHex: string } }>('opendht-revocation.json')
    const all = identities()
    const of = (name: 'account' | 'ca' | 'device' | 'device2') => parseCertificate(all[name].pem)
    for (const { crl, numberHex } of [vector, vector.certificateRevoke]) {
      const list = parseRevocationList(base64(crl))
      expect([verifyRevocationList(list, of('account')), verifyRevocationList(list, of('ca'))]).toEqual([true, false])
      expect([isRevokedBy(list, of('device')), isRevokedBy(list, of('device2'))]).toEqual([false, true])
      expect([list.numberHex, list.revoked[0]?.serialHex]).toEqual([numberHex, vector.revokedSerialHex])
    }
    expect(parseRevocationList(base64(vector.crl))).toMatchObject({ thisUpdateMs: vector.updateTime * 1000, nextUpdateMs: vector.nextUpdateTime * 1000 })
  })
})

describe('createRevocationList', () => {
  it('DHT-53 gives an RSA-SHA512 v2 list with a positive number, valid as long as the account', async () => {
    const list = await make()
    expect(list.signed.algorithm).toBe('1.2.840.113549.1.1.13')
    expect(list.numberHex).toMatch(/^[0-7][0-9a-f]{15}$/)
    expect([list.thisUpdateMs, list.nextUpdateMs]).toEqual([WALL, account.notAfterMs])
    expect([verifyRevocationList(list, account), verifyRevocationList(list, stranger.accountChain[0])]).toEqual([true, false])
    expect([isRevokedBy(list, first.device.chain[0]), isRevokedBy(list, second.device.chain[0])]).toEqual([true, false])
  })

  it('keeps older entries and counts on, across a carry', async () => {
    const one = await make()
    const two = await make([second.device.chain[0], first.device.chain[0]], one)
    expect(two.revoked.map((entry) => entry.serialHex)).toEqual([first, second].map(({ device }) => device.chain[0].serialHex))
    expect(BigInt(`0x${two.numberHex}`)).toBe(BigInt(`0x${one.numberHex}`) + 1n)
    const high = await createRevocationList({ ...env, random: { ...env.random, bytes: () => Uint8Array.of(0x7f, 255, 255, 255, 255, 255, 255, 255), below: () => 0, u64: () => 0n } }, { issuer: account, issuerKey: first.accountKey, revoke: [] })
    expect((await make([], high)).numberHex).toBe('008000000000000000')
  })

  it('refuses other keys, other issuers and foreign previous lists', async () => {
    await expect(createRevocationList(env, { issuer: account, issuerKey: stranger.accountKey, revoke: [] })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(make([stranger.device.chain[0]])).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    const foreign = await createRevocationList(env, { issuer: stranger.accountChain[0], issuerKey: stranger.accountKey, revoke: [] })
    await expect(make([], foreign)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  })

  it('is read by OpenSSL and verified by it', async (context) => {
    const directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
    try {
      await writeFile(join(directory, 'crl'), (await make()).der)
      await writeFile(join(directory, 'ca'), account.pem)
      const run = promisify(execFile)
      const { stdout, stderr } = await run('openssl', ['crl', '-inform', 'der', '-in', join(directory, 'crl'), '-CAfile', join(directory, 'ca'), '-noout', '-text']).catch((error: { code?: string; stdout?: string; stderr?: string }) => {
        if (error.code === 'ENOENT') return context.skip()
        throw error
      })
      expect(stderr).toContain('verify OK')
      expect(stdout.toUpperCase()).toContain(`SERIAL NUMBER: ${first.device.chain[0].serialHex.toUpperCase()}`)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})

describe('checking', () => {
  it('ACC-S6 a changed or foreign list never verifies', async () => {
    const list = await make()
    for (const at of [20, 60, 200, list.der.length - 300, list.der.length - 1]) {
      const changed = list.der.slice()
      changed[at] = (changed[at] ?? 0) ^ 1
      let verified = false
      try {
        verified = verifyRevocationList(parseRevocationList(changed), account)
      } catch (error) {
        expect(JamiError.is(error)).toBe(true)
      }
      expect(verified).toBe(false)
    }
    expect(verifyRevocationList(list, first.device.chain[0])).toBe(false)
    expect(verifyRevocationList(list, { ...stranger.accountChain[0] })).toBe(false)
  })

  it('the issuer must be a CA whose key may sign lists', async () => {
    const issuerWith = (options: Partial<ForgeOptions>) => parseCertificate(forge({ subject: first.accountKey, signer: first.accountKey, ...options }))
    for (const [options, good] of [[{ ca: true, keyUsage: 0x06 }, true], [{ ca: true }, true], [{ ca: true, keyUsage: 0x04 }, false], [{ ca: false }, false], [{}, false]] as const) {
      const issuer = issuerWith(options)
      const list = await createRevocationList(env, { issuer, issuerKey: first.accountKey, revoke: [] })
      expect(verifyRevocationList(list, issuer)).toBe(good)
    }
  })

  it('plugs into chain verification', async () => {
    const list = await make()
    const isRevoked = (c: typeof account) => isRevokedBy(list, c)
    expect(() => verifyPeerChain(first.device.chain, { nowMs: WALL, isRevoked })).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_REVOKED' }))
    expect(verifyPeerChain(second.device.chain, { nowMs: WALL, isRevoked }).deviceId).toBe(second.device.deviceId)
  })

  it('reads PEM as well as DER, and does not follow the caller’s buffer', async () => {
    const list = await make()
    expect(toHex(parseRevocationList(toPem(list.der, 'X509 CRL')).der)).toBe(toHex(list.der))
    const buffer = Buffer.from(list.der)
    const parsed = parseRevocationList(buffer)
    buffer.fill(0)
    expect(verifyRevocationList(parsed, account)).toBe(true)
  })

  const name = derSequence()
  const tbs = (...parts: Uint8Array[]) => derSequence(derSequence(derUnsigned(Uint8Array.of(1)), SHA512_WITH_RSA, name, ...parts), SHA512_WITH_RSA, derBits(Uint8Array.of(1)))
  const entry = (serial: Uint8Array) => derSequence(der(TAG.integer, serial), derTime(WALL))
  it.each<[string, string, Uint8Array | string]>([
    ['nothing', 'ERR_CODEC', new Uint8Array(0)],
    ['text', 'ERR_CODEC', 'x'],
    ['a certificate', 'ERR_CODEC', account.der],
    ['no update time', 'ERR_CODEC', tbs()],
    ['no version', 'ERR_CODEC', derSequence(derSequence(SHA512_WITH_RSA, name, derTime(WALL)), SHA512_WITH_RSA, derBits(Uint8Array.of(1)))],
    ['an empty serial', 'ERR_CODEC', tbs(derTime(WALL), derSequence(entry(new Uint8Array(0))))],
    ['a serial of 33 bytes', 'ERR_CODEC', tbs(derTime(WALL), derSequence(entry(new Uint8Array(33))))],
    ['bytes after it', 'ERR_CODEC', concatBytes(tbs(derTime(WALL)), Uint8Array.of(0))],
    ['4097 entries', 'ERR_LIMIT', tbs(derTime(WALL), derSequence(...Array.from({ length: 4097 }, () => entry(Uint8Array.of(1)))))],
    ['more than 256 KiB', 'ERR_LIMIT', new Uint8Array(262_145)],
  ])('refuses %s', (_name, code, input) => {
    expect(() => parseRevocationList(input)).toThrow(expect.objectContaining({ code }))
  })

  it('takes 4096 entries', () => {
    expect(parseRevocationList(tbs(derTime(WALL), derSequence(...Array.from({ length: 4096 }, () => entry(Uint8Array.of(1)))))).revoked).toHaveLength(4096)
  })

  it('any damage is read or refused', async () => {
    const bytes = (await make()).der
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.option(fc.nat(bytes.length)), (at, byte, cut) => {
        const damaged = bytes.slice(0, cut ?? bytes.length)
        if (at < damaged.length) damaged[at] = byte
        try {
          parseRevocationList(damaged)
        } catch (error) {
          expect(JamiError.is(error, 'ERR_CODEC') || JamiError.is(error, 'ERR_LIMIT')).toBe(true)
        }
      }),
      { numRuns: 10_000 },
    )
  })
})
