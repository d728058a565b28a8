// DER with any content, for tests of what must be read or refused. The SDK itself writes none by hand.
import { concatBytes } from '../src/codec/bytes.ts'
import { TAG } from '../src/identity/der.ts'

/** An element with this tag around the parts. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const header = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : length < 0x10000 ? [tag, 0x82, length >> 8, length & 0xff] : [tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff]
  return concatBytes(Uint8Array.from(header), ...parts)
}

export function derSequence(...parts: readonly Uint8Array[]): Uint8Array {
  return der(TAG.sequence, ...parts)
}

/** A non-negative INTEGER with these big-endian digits. */
export function derUnsigned(digits: Uint8Array): Uint8Array {
  let start = 0
  while (start < digits.length - 1 && digits[start] === 0) start++
  const body = digits.subarray(start)
  return der(TAG.integer, (body[0] ?? 0) & 0x80 || body.length === 0 ? concatBytes(Uint8Array.of(0), body) : body)
}

export function derOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes: number[] = []
  for (const arc of [first * 40 + second, ...rest]) {
    const digits = [arc & 0x7f]
    for (let v = Math.floor(arc / 128); v > 0; v = Math.floor(v / 128)) digits.unshift((v & 0x7f) | 0x80)
    bytes.push(...digits)
  }
  return der(TAG.oid, Uint8Array.from(bytes))
}

export function derText(tag: number, text: string): Uint8Array {
  return der(tag, Uint8Array.from(text, (c) => c.charCodeAt(0)))
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 §4.1.2.5). Milliseconds are cut. */
export function derTime(unixMs: number): Uint8Array {
  const digits = new Date(unixMs).toISOString().replace(/[-:T]|\.\d+/g, '')
  return unixMs < Date.UTC(2050, 0) ? derText(TAG.utcTime, digits.slice(2)) : derText(TAG.generalizedTime, digits)
}

/** BIT STRING of whole bytes. */
export function derBits(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  return der(TAG.bitString, Uint8Array.of(unusedBits), bytes)
}

export const SHA512_WITH_RSA = derSequence(derOid('1.2.840.113549.1.1.13'), der(TAG.null))

/** CN, then UID, one attribute per RDN, both PrintableString. */
export function derName(cn: string, uid: string): Uint8Array {
  const rdn = (oid: string, value: string) => der(TAG.set, derSequence(derOid(oid), derText(TAG.printableString, value)))
  return derSequence(rdn('2.5.4.3', cn), rdn('0.9.2342.19200300.100.1.1', uid))
}
