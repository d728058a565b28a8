import { createPublicKey, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { forge } from '../../test/forge.ts'
import { accounts, base64, identities } from '../../test/vectors.ts'
import { JamiError } from '../base/errors.ts'
import { concatBytes, toHex, utf8 } from '../codec/bytes.ts'
import { encodeMsgpack } from '../codec/msgpack.ts'
import { privateKeyFromPem } from '../crypto/keys.ts'
import { spareKey } from '../testing/test-crypto.ts'
import { chainToPem, parseCertificate, parseChain } from './certificate.ts'

const all = identities()
const captured = accounts()
const named = ['ca', 'account', 'device', 'device2', 'ec', 'ecCa', 'selfSignedRsa2048'] as const

describe('reading a certificate', () => {
  it.each(named)('%s: agrees with OpenDHT about every field', (name) => {
    const vector = all[name]
    expect(parseCertificate(vector.pem)).toMatchObject({
      shortId: vector.id, longId: vector.longId, subjectCn: vector.name, subjectUid: vector.uid, issuerUid: vector.issuerUID, isCa: vector.isCA,
      notBeforeMs: vector.activation * 1000, notAfterMs: vector.expiration * 1000, serialHex: vector.serialHex, publicKey: base64(vector.publicKeyDer),
    })
  })

  it('agrees with OpenSSL about names and dates', () => {
    for (const certificate of Object.values(captured).flatMap(({ chainPem }) => [...parseChain(chainPem)])) {
      const x509 = new X509Certificate(certificate.pem)
      expect(x509.subject).toBe(`CN=${certificate.subjectCn}\nUID=${certificate.subjectUid}`)
      expect([Date.parse(x509.validFrom), Date.parse(x509.validTo), x509.ca]).toEqual([certificate.notBeforeMs, certificate.notAfterMs, certificate.isCa])
    }
  })

  it('ACC-6 takes negative serials, in two’s complement', () => {
    const serials = Object.values(captured).flatMap(({ chainPem }) => [...parseChain(chainPem)].map((c) => c.serialHex))
    expect(serials.some((hex) => Number.parseInt(hex.slice(0, 2), 16) >= 0x80)).toBe(true)
    expect(parseCertificate(forge({ subject: spareKey(0), signer: spareKey(0), serial: Uint8Array.of(0x80, 1) })).serialHex).toBe('8001')
  })

  it('reads DER and PEM, keeps the bytes, and does not follow the caller’s buffer', () => {
    const der = new Uint8Array(new X509Certificate(all.device.pem).raw)
    const buffer = Buffer.from(der)
    const certificate = parseCertificate(buffer)
    buffer.fill(0)
    expect(certificate.der).toEqual(der)
    expect(certificate.pem).toBe(parseCertificate(all.device.pem).pem)
    expect(Object.isFrozen(certificate)).toBe(true)
  })

  const key = spareKey(0)
  const good = forge({ subject: key, signer: key, ca: true })
  it.each<[string, Uint8Array | string]>([
    ['nothing', new Uint8Array(0)],
    ['text', 'hello'],
    ['an empty PEM block', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n'],
    ['PEM without an end', '-----BEGIN CERTIFICATE-----\nMIIB'],
    ['PEM that is not base64', '-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n'],
    ['a private key', all.device.keyPem],
    ['a cut one', good.subarray(0, good.length - 1)],
    ['bytes after it', concatBytes(good, Uint8Array.of(0))],
    ['an unknown critical extension', forge({ subject: key, signer: key, extraExtension: { oid: '2.5.29.30', critical: true } })],
    ['an extension twice', forge({ subject: key, signer: key, ca: true, twice: true })],
    ['a signature with a set bit that does not count: OpenSSL would write other bytes', good.map((byte, at) => (at === good.length - 257 ? 1 : at === good.length - 1 ? byte | 1 : byte))],
    ['a serial of 33 bytes', forge({ subject: key, signer: key, serial: new Uint8Array(33).fill(1) })],
  ])('refuses %s', (_name, input) => {
    expect(() => parseCertificate(input)).toThrow(expect.objectContaining({ code: 'ERR_CODEC' }))
  })

  it('takes unknown extensions that are not critical', () => {
    expect(parseCertificate(forge({ subject: key, signer: key, extraExtension: { oid: '1.2.3.4', critical: false } })).isCa).toBe(false)
  })

  it.each([['3,070 bits', (1n << 3069n) + 1n], ['33 bits', 0x1_0000_0001n], ['one', 1n]])('a key with an exponent of %s is refused at once, before anybody verifies with it', (_, exponent) => {
    const e = Buffer.from(exponent.toString(16).padStart(2 * Math.ceil(exponent.toString(16).length / 2), '0'), 'hex').toString('base64url')
    const { n } = createPublicKey({ key: Buffer.from(spareKey(1).publicKey), format: 'der', type: 'spki' }).export({ format: 'jwk' })
    const publicKey = new Uint8Array(createPublicKey({ key: { kty: 'RSA', n: n ?? '', e }, format: 'jwk' }).export({ type: 'spki', format: 'der' }))
    expect(() => parseCertificate(forge({ subject: { ...spareKey(1), publicKey }, signer: key }))).toThrow(expect.objectContaining({ code: 'ERR_CODEC', message: expect.stringContaining('certificate key') as string }))
  })

  it('refuses more than 16 KiB', () => {
    expect(() => parseCertificate(concatBytes(good, new Uint8Array(16_385)))).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })

  it('damaged bytes are read or refused, never anything else', () => {
    const bytes = parseCertificate(all.device.pem).der
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.option(fc.nat(bytes.length)), (at, byte, cut) => {
        const damaged = bytes.slice(0, cut ?? bytes.length)
        if (at < damaged.length) damaged[at] = byte
        try {
          parseCertificate(damaged)
        } catch (error) {
          expect(JamiError.is(error, 'ERR_CODEC') || JamiError.is(error, 'ERR_LIMIT')).toBe(true)
        }
      }),
      { numRuns: 10_000 },
    )
  }, 60_000)
})

describe('chains', () => {
  it('ACC-7 are written leaf first, byte for byte as daemons do', () => {
    for (const { chainPem } of Object.values(captured)) {
      const chain = parseChain(chainPem)
      expect(chain.map((c) => c.subjectCn)).toEqual(['Jami device', 'Jami', 'Jami CA'])
      expect(chainToPem(chain)).toBe(chainPem)
    }
  })

  it('DHT-51 are read wrapped in msgpack bin, as bare PEM, and as DER', () => {
    const pem = captured.alice2023.chainPem
    const chain = parseChain(pem)
    const der = concatBytes(...chain.map((c) => c.der))
    const wrapped = encodeMsgpack(utf8(pem))
    expect(toHex(wrapped.subarray(0, 1))).toBe('c5')
    for (const input of [utf8(pem), wrapped, der]) expect(parseChain(input).map((c) => c.longId)).toEqual(chain.map((c) => c.longId))
  })

  it('ACC-7 unsorted ones are refused', () => {
    const [device, account, ca] = parseChain(captured.alice16.chainPem)
    if (!account || !ca) throw new Error('unreachable')
    for (const order of [[account, device, ca], [device, ca, account], [ca, account, device], [device, ca]])
      expect(() => parseChain(order.map((c) => c.pem).join(''))).toThrow(expect.objectContaining({ code: 'ERR_CODEC' }))
  })

  it('have at most 8 certificates and 64 KiB', () => {
    const [, , ca] = parseChain(captured.alice16.chainPem)
    if (!ca) throw new Error('unreachable')
    const limit = expect.objectContaining({ code: 'ERR_LIMIT' })
    expect(parseChain(ca.pem.repeat(8))).toHaveLength(8)
    expect(() => parseChain(ca.pem.repeat(9))).toThrow(limit)
    expect(() => parseChain(concatBytes(...Array.from({ length: 9 }, () => ca.der)))).toThrow(limit)
    expect(() => parseChain(ca.pem + ' '.repeat(65_536))).toThrow(limit)
    expect(() => parseChain('')).toThrow(expect.objectContaining({ code: 'ERR_CODEC' }))
  })

  it('any bytes are read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const input of [bytes, concatBytes(utf8('-----BEGIN CERTIFICATE-----\n'), bytes, utf8('-----END CERTIFICATE-----')), concatBytes(Uint8Array.of(0x30), bytes)]) {
          try {
            parseChain(input)
          } catch (error) {
            expect(JamiError.is(error, 'ERR_CODEC') || JamiError.is(error, 'ERR_LIMIT')).toBe(true)
          }
        }
      }),
      { numRuns: 10_000 },
    )
  })

  it('the key of a device is the one its certificate has', () => {
    for (const { chainPem, deviceKeyPem } of Object.values(captured)) expect(parseChain(chainPem)[0].publicKey).toEqual(privateKeyFromPem(deviceKeyPem).publicKey)
  })
})
