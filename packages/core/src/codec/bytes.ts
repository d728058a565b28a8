// Byte strings and their text forms. Pure; never keeps or changes its arguments. Proof: codec/bytes.test.ts.
import { codecError } from '../base/errors.ts'

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))
const utf8Encoder = new TextEncoder()
/** Keys of maps on the wire: copying them here costs a fraction of a call into the encoder. */
const SHORT_TEXT = 32
const utf8Strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  return joinBytes(parts)
}

/** The same for a list of any length: arguments of a call have an end at some tens of thousands. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const p of parts) length += p.length
  const out = new Uint8Array(length)
  let at = 0
  for (const p of parts) {
    out.set(p, at)
    at += p.length
  }
  return out
}

/** Not constant time: for public data only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Order of the first differing byte, then of length. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length)
  for (let i = 0; i < n; i++) {
    const d = (a[i] as number) - (b[i] as number)
    if (d !== 0) return d
  }
  return a.length - b.length
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  let out = ''
  for (let i = 0; i < bytes.length; i++) out += HEX[bytes[i] as number]
  return out
}

/** @throws ERR_CODEC unless an even number of hex digits of either case */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) throw codecError('hex text', `${text.length} characters`, 'an even number of hex digits')
  const out = new Uint8Array(text.length / 2)
  for (let i = 0; i < out.length; i++) out[i] = (digit(text.charCodeAt(2 * i)) << 4) | digit(text.charCodeAt(2 * i + 1))
  return out
}

function digit(code: number): number {
  return code < 0x3a ? code - 0x30 : (code | 0x20) - 0x57
}

export function utf8(text: string): Uint8Array {
  if (text.length <= SHORT_TEXT) {
    const out = new Uint8Array(text.length)
    let at = 0
    for (let code = text.charCodeAt(0); at < text.length && code < 0x80; code = text.charCodeAt(++at)) out[at] = code
    if (at === text.length) return out
  }
  return utf8Encoder.encode(text)
}

/** @throws ERR_CODEC when the bytes are not UTF-8 */
export function fromUtf8(bytes: Uint8Array, field = 'text'): string {
  try {
    return utf8Strict.decode(bytes)
  } catch {
    throw codecError(field, 'invalid UTF-8', 'UTF-8')
  }
}

/** Standard alphabet with padding. */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

/** Standard alphabet, padding required, white space tolerated. @throws ERR_CODEC */
export function fromBase64(text: string): Uint8Array {
  const dense = text.replace(/[ \t\r\n]+/g, '')
  if (dense.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(dense)) throw codecError('base64 text', `${text.length} characters`, 'padded standard base64')
  const buffer = Buffer.from(dense, 'base64')
  return new Uint8Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.length))
}
