import { execFile } from 'node:child_process'
import { createECDH, X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { accounts } from '../../test/vectors.ts'
import { concatBytes, fromHex, toHex } from '../codec/bytes.ts'
import type { Crypto } from '../contracts/crypto.ts'
import { keccak256 } from '../crypto/hash.ts'
import { nodeCrypto } from '../crypto/node-crypto.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { testCrypto } from '../testing/test-crypto.ts'
import { chainToPem, parseChain } from './certificate.ts'
import { DerReader, TAG } from './der.ts'
import { ethAddressOf } from './eth.ts'
import { type AccountIdentity, createAccountIdentity, createDeviceIdentity, createEthKey, type IdentityEnv, issueDeviceCertificate } from './issue.ts'
import { verifyPeerChain } from './verify-chain.ts'

const run = promisify(execFile)
const has = (tool: string) => run(tool, ['--version']).then(() => true, (error: { code?: string }) => error.code !== 'ENOENT')
const WALL = Date.now() - 5000 // certtool cannot be told another time
const env = (crypto: Crypto): IdentityEnv => ({ crypto, clock: new ManualClock({ wallTimeMs: WALL }), random: new SeededRandom('identity') })
const fast = env(testCrypto())

/** Tags and constant parts of a certificate; what differs between two of them is replaced by its kind and length. */
function skeleton(der: Uint8Array): string[] {
  const out: string[] = []
  const walk = (bytes: Uint8Array, path: string) => {
    const reader = new DerReader(bytes, 'skeleton')
    for (let n = 0; !reader.done; n++) {
      const { tag, body } = reader.next()
      const at = `${path}.${n}`
      if (tag & 0x20) {
        out.push(`${at} ${tag.toString(16)}`)
        walk(body, at)
      } else if (tag === TAG.oid || tag === TAG.boolean || tag === TAG.null) out.push(`${at} ${tag.toString(16)} ${toHex(body)}`)
      else if (tag === TAG.printableString && body.length < 40) out.push(`${at} 13 ${String.fromCharCode(...body)}`)
      else if (tag === TAG.octetString && body.length < 10) out.push(`${at} 4 ${toHex(body)}`)
      else out.push(`${at} ${tag.toString(16)} ${tag === TAG.bitString || tag === TAG.integer ? '' : body.length}`)
    }
  }
  walk(der, '')
  return out.map((line) => line.replace(/2a864886f70d01010[bcd]/, 'sha2 with rsa'))
}

describe('createAccountIdentity', () => {
  let real: AccountIdentity
  beforeAll(async () => {
    real = await createAccountIdentity(env(nodeCrypto()))
  }, 120_000)

  it('ACC-3 makes three RSA-4096 keys with exponent 65537 and an eth key', () => {
    expect(new Set(real.device.chain.map((c) => c.longId)).size).toBe(3)
    for (const certificate of real.device.chain) expect(new X509Certificate(certificate.pem).publicKey.asymmetricKeyDetails).toEqual({ modulusLength: 4096, publicExponent: 65537n })
    expect(real.ethKey).toHaveLength(32)
    expect(ethAddressOf(real.ethKey)).toMatch(/^[0-9a-f]{40}$/)
  })

  it('ACC-4 DHT-52 writes certificates of exactly the structure that daemons write', () => {
    const reference = parseChain(accounts().alice16.chainPem)
    for (const [level, certificate] of real.device.chain.entries()) expect(skeleton(certificate.der)).toEqual(skeleton(reference[level]?.der ?? new Uint8Array(0)))
  })

  it('ACC-4 names are CN then UID, validity is from a day ago to ten years of 365 days from now, serials are positive and have 8 bytes', () => {
    for (const [level, certificate] of real.device.chain.entries()) {
      const x509 = new X509Certificate(certificate.pem)
      expect(x509.subject).toBe(`CN=${['Jami device', 'Jami', 'Jami CA'][level]}\nUID=${certificate.shortId}`)
      const second = Math.floor(WALL / 1000) * 1000
      expect([certificate.notBeforeMs, certificate.notAfterMs]).toEqual([second - 86_400_000, second + 3650 * 86_400_000])
      expect(certificate.serialHex).toMatch(/^[0-7][0-9a-f]{15}$/)
      expect([certificate.isCa, x509.ca]).toEqual([level > 0, level > 0])
    }
    expect(new Set(real.device.chain.map((c) => c.serialHex)).size).toBe(3)
  })

  it('passes our own verification, and the ids fit', () => {
    expect(verifyPeerChain(real.device.chain, { nowMs: WALL })).toMatchObject({ accountId: real.device.accountId, deviceId: real.device.deviceId })
    expect(real.device.deviceShortId).toBe(real.device.chain[0].shortId)
    expect(real.device.chain.slice(1)).toEqual([...real.accountChain])
    expect([real.accountKey.publicKey, real.caKey?.publicKey, real.device.privateKey.publicKey]).toEqual([real.accountChain[0].publicKey, real.accountChain[1]?.publicKey, real.device.chain[0].publicKey])
  })

  it('ACC-5 DHT-52 the chain verifies with OpenSSL and with GnuTLS at profile medium', async (context) => {
    const directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
    try {
      const file = async (name: string, text: string) => {
        await writeFile(join(directory, name), text)
        return join(directory, name)
      }
      const [device, account, ca] = real.device.chain
      const [deviceFile, accountFile, caFile] = [await file('device', device.pem), await file('account', account?.pem ?? ''), await file('ca', ca?.pem ?? '')]
      const tools = { openssl: await has('openssl'), certtool: await has('certtool') }
      if (!tools.openssl && !tools.certtool) return context.skip()
      if (tools.openssl) expect((await run('openssl', ['verify', '-CAfile', caFile, '-untrusted', accountFile, deviceFile])).stdout).toContain('OK')
      if (tools.certtool) {
        const chain = await file('chain', chainToPem(real.device.chain))
        expect((await run('certtool', ['--verify', '--load-ca-certificate', caFile, '--infile', chain, '--verify-profile', 'medium'])).stdout).toContain('Verified. The certificate is trusted')
      }
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})

describe('devices', () => {
  it('of an existing account get a new key, and a certificate that verifies', async () => {
    const account = await createAccountIdentity(fast)
    const second = await createDeviceIdentity(fast, account)
    expect(second.accountId).toBe(account.device.accountId)
    expect(second.deviceId).not.toBe(account.device.deviceId)
    expect(verifyPeerChain(second.chain, { nowMs: WALL }).deviceId).toBe(second.deviceId)
  })

  it('need the key that the account certificate has', async () => {
    const { accountChain, device } = await createAccountIdentity(env(testCrypto()))
    await expect(issueDeviceCertificate(fast, { accountKey: device.privateKey, account: accountChain[0], devicePublicKey: device.privateKey.publicKey })).rejects.toMatchObject({ code: 'ERR_CERTIFICATE' })
  })
})

describe('a clock that is wrong', () => {
  const at = (wallTimeMs: number): IdentityEnv => ({ ...fast, clock: new ManualClock({ wallTimeMs }) })

  it('when an account is made with a fast clock, peers whose clock is right or slow take it at once', async () => {
    const { device } = await createAccountIdentity(at(WALL + 3_600_000))
    for (const late of [0, -120_000, -22 * 3_600_000]) expect(verifyPeerChain(device.chain, { nowMs: WALL + late }).deviceId).toBe(device.deviceId)
  })

  it('when an account is made in 1970, it is not expired for those who live today', async () => {
    const { device } = await createAccountIdentity(at(0))
    expect(verifyPeerChain(device.chain, { nowMs: WALL }).deviceId).toBe(device.deviceId)
  })
})

describe('eth keys', () => {
  it('address of a known key', () => {
    expect(ethAddressOf(concatBytes(new Uint8Array(31), Uint8Array.of(1)))).toBe('7e5f4552091a69125d5dfcb7b8c2659029395bdf')
    expect(ethAddressOf(fromHex('4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318'))).toBe('2c7536e3605d9c16a7a3d7b1898e529396a65c23')
  })

  it('give the address that OpenSSL\'s curve gives', () => {
    const random = new SeededRandom('eth')
    for (let i = 0; i < 50; i++) {
      const key = createEthKey(random)
      const curve = createECDH('secp256k1')
      curve.setPrivateKey(key)
      expect(ethAddressOf(key)).toBe(toHex(keccak256(curve.getPublicKey(null, 'uncompressed').subarray(1)).subarray(12)))
    }
  })

  it('are never zero or above the order of the curve', () => {
    const tries = [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(32).fill(7)]
    const random = { bytes: () => tries.shift() ?? expect.unreachable(), below: () => 0, u64: () => 0n }
    expect(createEthKey(random)).toEqual(new Uint8Array(32).fill(7))
    for (const bad of [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(31).fill(1)]) expect(() => ethAddressOf(bad)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })
})
