// The part of ASN.1 DER that reading certificates, revocation lists and names needs: a reader that checks every length. What we make,
// pkijs and asn1js write (identity/asn1.ts). Pure. X.690 §8–§11. Proof: identity/der.test.ts.
import { codecError } from '../base/errors.ts'

export const TAG = {
  boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, null: 0x05, oid: 0x06, utf8String: 0x0c, printableString: 0x13,
  teletexString: 0x14, ia5String: 0x16, utcTime: 0x17, generalizedTime: 0x18, universalString: 0x1c, bmpString: 0x1e, sequence: 0x30, set: 0x31,
} as const

/** One element. */
export interface DerNode {
  readonly tag: number
  /** Content bytes (a view). */
  readonly body: Uint8Array
  /** Tag, length and content (a view). */
  readonly raw: Uint8Array
}

/** Elements one after the other in `bytes`. */
export class DerReader {
  readonly #bytes: Uint8Array
  readonly #what: string
  #at = 0

  /** @param what names the structure in errors */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** Tag of the next element, undefined at the end. */
  get nextTag(): number | undefined {
    return this.#bytes[this.#at]
  }

  /** @throws ERR_CODEC when the element is not complete, its length not minimal, or its tag not `tag` */
  next(tag?: number): DerNode {
    const start = this.#at
    const got = this.#bytes[start]
    if (got === undefined || (got & 0x1f) === 0x1f) throw codecError(this.#what, got === undefined ? 'the end' : 'a long tag', 'a DER element')
    if (tag !== undefined && got !== tag) throw codecError(this.#what, `tag 0x${got.toString(16)}`, `tag 0x${tag.toString(16)}`)
    let at = start + 1
    let length = this.#bytes[at++]
    if (length === undefined) throw codecError(this.#what, 'the end', 'a DER length')
    if (length >= 0x80) {
      const size = length & 0x7f
      if (size === 0 || size > 3) throw codecError(this.#what, `length of ${size} bytes`, 'a definite length below 16 MiB')
      length = 0
      for (let i = 0; i < size; i++) length = length * 256 + (this.#bytes[at++] ?? 0)
      if (length < 0x80 || length < 256 ** (size - 1)) throw codecError(this.#what, 'a padded length', 'a minimal length')
    }
    if (at + length > this.#bytes.length) throw codecError(this.#what, `${this.#bytes.length - at} bytes`, `${length} bytes`)
    this.#at = at + length
    return { tag: got, body: this.#bytes.subarray(at, at + length), raw: this.#bytes.subarray(start, at + length) }
  }

  /** The next element when it has this tag. */
  optional(tag: number): DerNode | undefined {
    return this.nextTag === tag ? this.next(tag) : undefined
  }

  /** A reader of the content of the next element. */
  enter(tag: number = TAG.sequence): DerReader {
    return new DerReader(this.next(tag).body, this.#what)
  }

  /** @throws ERR_CODEC when something is left */
  end(): void {
    if (!this.done) throw codecError(this.#what, `${this.#bytes.length - this.#at} more bytes`, 'the end')
  }
}

/** Dotted form. @throws ERR_CODEC */
export function readOid(body: Uint8Array, what: string): string {
  const parts: number[] = []
  let value = 0
  for (let i = 0; i < body.length; i++) {
    const byte = body[i] as number
    if (value > 0x1fffff) throw codecError(what, 'a huge OID arc', 'arcs below 2^28')
    value = value * 128 + (byte & 0x7f)
    if (byte & 0x80) continue
    if (parts.length === 0) parts.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)))
    else parts.push(value)
    value = 0
  }
  if (parts.length === 0 || ((body[body.length - 1] ?? 0) & 0x80) !== 0) throw codecError(what, 'a cut OID', 'an OID')
  return parts.join('.')
}

/** UTCTime and GeneralizedTime in the form RFC 5280 §4.1.2.5 demands; Unix milliseconds. @throws ERR_CODEC */
export function readTime(node: DerNode, what: string): number {
  const text = String.fromCharCode(...node.body.subarray(0, 20))
  const match = node.tag === TAG.utcTime ? /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text) : node.tag === TAG.generalizedTime ? /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text) : null
  if (!match) throw codecError(what, `time with tag 0x${node.tag.toString(16)}`, 'UTCTime or GeneralizedTime in UTC with seconds')
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number)
  const full = node.tag === TAG.utcTime ? (year < 50 ? 2000 + year : 1900 + year) : year
  const ms = Date.UTC(full, month - 1, day, hour, minute, second)
  const back = new Date(ms)
  if (full < 100 || back.getUTCMonth() !== month - 1 || back.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59)
    throw codecError(what, text, 'an existing date')
  return ms
}
