import { constants, createPrivateKey, createPublicKey, generateKeyPairSync, publicEncrypt, sign, verify } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { base64, identities, vectorJson } from '../../test/vectors.ts'
import { concatBytes, utf8 } from '../codec/bytes.ts'
import { privateKeyFromPem, rsaPublicKey } from './keys.ts'
import { decryptSync, encryptForSync, rsaSignSync, rsaVerifySync } from './rsa.ts'

const all = identities()
const device = privateKeyFromPem(all.device.keyPem)
const other = privateKeyFromPem(all.device2.keyPem)
const small = privateKeyFromPem(all.selfSignedRsa2048.keyPem)
const closed = expect.objectContaining({ code: 'ERR_SIGNATURE', message: 'the encrypted data does not open' })

/** A ciphertext whose RSA block holds exactly these bytes. */
function raw(block: Uint8Array): Uint8Array {
  return new Uint8Array(publicEncrypt({ key: createPublicKey(all.selfSignedRsa2048.keyPem), padding: constants.RSA_NO_PADDING }, block))
}

function padded(first: number, second: number, padding: Uint8Array, separator: number, message: Uint8Array): Uint8Array {
  return raw(concatBytes(Uint8Array.of(first, second), padding, Uint8Array.of(separator), message))
}

/** A public key with these numbers, whether or not anybody could sign with it. */
function spkiOf(modulus: bigint, exponent: bigint): Uint8Array {
  const base64url = (n: bigint) => Buffer.from(n.toString(16).padStart(2 * Math.ceil(n.toString(16).length / 2), '0'), 'hex').toString('base64url')
  return new Uint8Array(createPublicKey({ key: { kty: 'RSA', n: base64url(modulus), e: base64url(exponent) }, format: 'jwk' }).export({ type: 'spki', format: 'der' }))
}

describe('keys', () => {
  it('a private key shows its PEM and its public key', () => {
    expect(device.publicKey).toEqual(base64(all.device.publicKeyDer))
    expect(privateKeyFromPem(device.pem).pem).toBe(device.pem)
  })

  it.each(['', 'text', all.device.pem, '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'])('refuses what is no private key, without showing it', (pem) => {
    try {
      expect.unreachable(String(privateKeyFromPem(pem)))
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_ARGUMENT', message: 'private key: got something else, allowed an unencrypted PKCS#8 PEM' })
      expect(error).not.toHaveProperty('cause')
    }
  })

  it('public keys of other kinds and sizes are none', () => {
    const spki = (bits: number) => new Uint8Array(generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ type: 'spki', format: 'der' }))
    expect(rsaPublicKey(spki(1024))).toBeUndefined()
    expect(rsaPublicKey(base64(all.ec.publicKeyDer))).toBeUndefined()
    expect(rsaPublicKey(new Uint8Array(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'der' })))).toBeUndefined()
    expect(rsaPublicKey(concatBytes(device.publicKey, new Uint8Array(2000)))).toBeUndefined()
    expect(rsaPublicKey(device.publicKey)).toBe(rsaPublicKey(device.publicKey.slice()))
  })

  const odd = (bits: number) => (1n << BigInt(bits - 1)) + 0x1234_5679n
  it.each([
    ['a modulus of 2047 bits', spkiOf(odd(2047), 65537n), false],
    ['a modulus of 2048 bits', spkiOf(odd(2048), 65537n), true],
    ['a modulus of 8192 bits', spkiOf(odd(8192), 65537n), true],
    ['a modulus of 8193 bits', spkiOf(odd(8193), 65537n), false],
    ['an exponent of 1', spkiOf(odd(3072), 1n), false],
    ['an exponent of 3', spkiOf(odd(3072), 3n), true],
    ['an even exponent', spkiOf(odd(3072), 65536n), false],
    ['an exponent of 32 bits', spkiOf(odd(3072), 0xffff_ffffn), true],
    ['an exponent of 33 bits', spkiOf(odd(3072), 0x1_0000_0001n), false],
    ['an exponent of 3,070 bits', spkiOf(odd(3072), odd(3070)), false],
  ])('of others are used only within bounds: %s', (_, spki, good) => {
    expect(rsaPublicKey(spki) !== undefined).toBe(good)
    if (good) return
    expect(rsaVerifySync(spki, utf8('x'), new Uint8Array(384))).toBe(false)
    expect(() => encryptForSync(spki, utf8('x'))).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })
})

describe('signatures', () => {
  it('are PKCS#1 v1.5 with SHA-512, which OpenSSL verifies', () => {
    const signature = rsaSignSync(device, utf8('text'))
    expect(verify('sha512', utf8('text'), createPublicKey(all.device.keyPem), signature)).toBe(true)
    expect(rsaVerifySync(device.publicKey, utf8('text'), signature)).toBe(true)
    expect(rsaVerifySync(other.publicKey, utf8('text'), signature)).toBe(false)
    expect(rsaVerifySync(device.publicKey, utf8('texT'), signature)).toBe(false)
  })

  it('are those of OpenDHT, byte for byte', () => {
    const { sign: vectors } = vectorJson<{ sign: { data: string; key: string; signature: string }[] }>('opendht-asymmetric.json')
    const rsa = vectors.filter(({ key }) => key !== 'ec')
    expect(rsa).toHaveLength(2)
    for (const { data, key, signature } of rsa) {
      expect(rsaVerifySync(key === 'device' ? device.publicKey : small.publicKey, base64(data), base64(signature))).toBe(true)
      expect(rsaSignSync(key === 'device' ? device : small, base64(data))).toEqual(base64(signature))
    }
  })

  it('with another digest do not count', () => {
    for (const digest of ['sha1', 'sha256', 'sha384']) expect(rsaVerifySync(device.publicKey, utf8('text'), sign(digest, utf8('text'), all.device.keyPem))).toBe(false)
  })
})

describe('encryption', () => {
  it('opens what OpenDHT encrypted, in both forms', () => {
    const { publicKeyEncrypt } = vectorJson<{ publicKeyEncrypt: { encrypted: string; plain: string; size: number; to: string }[] }>('opendht-asymmetric.json')
    expect(publicKeyEncrypt).toHaveLength(5)
    for (const { encrypted, plain, size, to } of publicKeyEncrypt) {
      expect([to, base64(encrypted).length]).toEqual(['device', size])
      expect(decryptSync(device, base64(encrypted))).toEqual(base64(plain))
      expect(encryptForSync(device.publicKey, base64(plain))).toHaveLength(size)
    }
  })

  it('goes round at the border of the two forms', () => {
    for (const [length, size] of [[0, 256], [245, 256], [246, 530], [2000, 2284]] as const) {
      const sealed = encryptForSync(small.publicKey, new Uint8Array(length).fill(5))
      expect(sealed).toHaveLength(size)
      expect(decryptSync(small, sealed)).toEqual(new Uint8Array(length).fill(5))
    }
  })

  it('the short form is what OpenSSL pads and unpads', () => {
    const sealed = new Uint8Array(publicEncrypt({ key: createPublicKey(createPrivateKey(small.pem)), padding: constants.RSA_PKCS1_PADDING }, utf8('openssl')))
    expect(decryptSync(small, sealed)).toEqual(utf8('openssl'))
  })

  it('is the same bytes for the same random source', () => {
    const random = () => {
      let n = 0
      return (length: number) => new Uint8Array(length).map(() => n++ % 256)
    }
    expect(encryptForSync(small.publicKey, new Uint8Array(600), random())).toEqual(encryptForSync(small.publicKey, new Uint8Array(600), random()))
    expect(decryptSync(small, encryptForSync(small.publicKey, new Uint8Array(600), random()))).toEqual(new Uint8Array(600))
  })

  it('DHT-48 bad padding, bad content key and bad ciphertext give one and the same error', () => {
    const ps = (n: number) => new Uint8Array(n).fill(0xaa)
    expect(decryptSync(small, padded(0, 2, ps(8), 0, ps(245)))).toEqual(ps(245))
    const good = encryptForSync(small.publicKey, new Uint8Array(500))
    const bad: [string, Uint8Array][] = [
      ['first byte', padded(1, 2, ps(8), 0, ps(245))],
      ['block type', padded(0, 1, ps(8), 0, ps(245))],
      ['padding of seven bytes', padded(0, 2, ps(7), 0, ps(246))],
      ['no separator', padded(0, 2, ps(253), 1, ps(0))],
      ['separator at once', padded(0, 2, ps(0), 0, ps(253))],
      ['content key of 31 bytes', concatBytes(padded(0, 2, ps(222), 0, ps(31)), good.subarray(256))],
      ['another content key', concatBytes(padded(0, 2, ps(221), 0, ps(32)), good.subarray(256))],
      ['block above the modulus', new Uint8Array(256).fill(0xff)],
      ['too short', good.subarray(0, 255)],
      ['no room for a tag', good.subarray(0, 270)],
      ['a changed end', concatBytes(good.subarray(0, -1), Uint8Array.of((good[good.length - 1] ?? 0) ^ 1))],
      ['for somebody else', encryptForSync(other.publicKey, new Uint8Array(500)).slice()],
    ]
    for (const [what, sealed] of bad) expect(() => decryptSync(small, sealed), what).toThrow(closed)
  })

  it('any bytes are refused with that error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 300 }), (bytes) => {
        expect(() => decryptSync(small, bytes)).toThrow(closed)
      }),
      { numRuns: 1000 }, // each is an RSA operation
    )
  })

  it('refuses keys that are not RSA', () => {
    expect(() => encryptForSync(base64(all.ec.publicKeyDer), utf8('x'))).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    const ec = privateKeyFromPem(all.ec.keyPem)
    expect(() => decryptSync(ec, new Uint8Array(512))).toThrow(closed)
  })
})
