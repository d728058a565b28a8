// Reading X.501 names: CN and UID, as Jami writes them, one attribute per RDN. docs/protocol/03 §2.2. Pure.
// Organisations write other string types into their CAs: all of X.520's DirectoryString are read. Proof: identity/name.test.ts.
import { codecError } from '../base/errors.ts'
import { fromUtf8 } from '../codec/bytes.ts'
import { DerReader, readOid, TAG } from './der.ts'
import { latin1 } from './pem.ts'

const OID_CN = '2.5.4.3'
const OID_UID = '0.9.2342.19200300.100.1.1'
const MAX_ATTRIBUTES = 16

/** First CN and first UID of a Name element; names in other attributes do not matter here. @throws ERR_CODEC */
export function readName(raw: Uint8Array, what: string): { cn: string | undefined; uid: string | undefined } {
  const rdns = new DerReader(raw, what).enter()
  let cn: string | undefined
  let uid: string | undefined
  let count = 0
  while (!rdns.done) {
    const set = rdns.enter(TAG.set)
    while (!set.done) {
      if (++count > MAX_ATTRIBUTES) throw codecError(what, `more than ${MAX_ATTRIBUTES} attributes`, `at most ${MAX_ATTRIBUTES}`)
      const attribute = set.enter()
      const oid = readOid(attribute.next(TAG.oid).body, what)
      const value = attribute.next()
      attribute.end()
      if (oid === OID_CN) cn ??= text(value.tag, value.body, what)
      else if (oid === OID_UID) uid ??= text(value.tag, value.body, what)
    }
  }
  return { cn, uid }
}

/** TeletexString is read as Latin-1, as everybody does who ever wrote one. */
function text(tag: number, body: Uint8Array, what: string): string {
  if (tag === TAG.utf8String || tag === TAG.printableString || tag === TAG.ia5String) return fromUtf8(body, what)
  if (tag === TAG.teletexString) return latin1(body)
  if (tag === TAG.bmpString) return wide(body, 2, what)
  if (tag === TAG.universalString) return wide(body, 4, what)
  throw codecError(what, `string type 0x${tag.toString(16)}`, 'UTF8String, PrintableString, IA5String, TeletexString, BMPString or UniversalString')
}

/** Big-endian code points of two or four bytes. */
function wide(body: Uint8Array, size: 2 | 4, what: string): string {
  if (body.length % size !== 0) throw codecError(what, `${body.length} bytes`, `code points of ${size} bytes`)
  let out = ''
  for (let at = 0; at < body.length; at += size) {
    let code = 0
    for (let i = 0; i < size; i++) code = code * 256 + (body[at + i] as number)
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw codecError(what, `code point 0x${code.toString(16)}`, 'Unicode characters')
    out += String.fromCodePoint(code)
  }
  return out
}
