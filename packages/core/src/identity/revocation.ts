// Certificate revocation lists of an account: read, verified, made. A list counts only after `verifyRevocationList`.
// docs/protocol/03 §2.8, 01 §5.8. Proof: identity/revocation.test.ts (captured lists, refusal table, fuzz).
import { verify } from 'node:crypto'
import { codecError, JamiError, limitError } from '../base/errors.ts'
import { concatBytes, equalBytes, fromHex, toHex } from '../codec/bytes.ts'
import type { Certificate, PrivateKey } from '../contracts/identity.ts'
import { asBuffer, rsaPublicKey } from '../crypto/keys.ts'
import { certificateParts } from './certificate.ts'
import { asn1, bufferOf, bytesOf, crlNumber, nameOf, sha512WithRsa, timeOf } from './asn1.ts'
import { DerReader, readOid, readTime, TAG } from './der.ts'
import { type IdentityEnv, positiveNumber } from './issue.ts'
import { latin1, pemBlocks } from './pem.ts'

const MAX_BYTES = 262_144
const MAX_ENTRIES = 4096
const CRL_SIGN = 0x02
const OID_CRL_NUMBER = '2.5.29.20'
const DIGESTS: ReadonlyMap<string, string> = new Map([
  ['1.2.840.113549.1.1.11', 'sha256'], ['1.2.840.113549.1.1.12', 'sha384'], ['1.2.840.113549.1.1.13', 'sha512'],
])

/** One certificate that does not hold any more. */
export interface RevokedSerial {
  /** Content bytes of the serial's DER INTEGER, in hex, as `Certificate.serialHex`. */
  readonly serialHex: string
  /** Unix milliseconds. */
  readonly dateMs: number
}

/** A list as read; it counts after `verifyRevocationList`. */
export interface RevocationList {
  /** The bytes as received. */
  readonly der: Uint8Array
  /** Name of the issuer, DER. */
  readonly issuer: Uint8Array
  /** When it was made, Unix milliseconds. */
  readonly thisUpdateMs: number
  /** When the next one is due, Unix milliseconds; undefined when it does not say. */
  readonly nextUpdateMs: number | undefined
  /** Content bytes of the CRL number, in hex; may read as negative (spec 03 §2.8). */
  readonly numberHex: string | undefined
  /** In the order of the list. */
  readonly revoked: readonly RevokedSerial[]
  /** The signed bytes and their signature. */
  readonly signed: { readonly bytes: Uint8Array; readonly algorithm: string; readonly signature: Uint8Array }
}

/** Nothing is verified yet. @throws ERR_CODEC, ERR_LIMIT */
export function parseRevocationList(input: Uint8Array | string): RevocationList {
  if (input.length > MAX_BYTES) throw limitError('revocation list bytes', input.length, MAX_BYTES)
  if (typeof input !== 'string' && input[0] === TAG.sequence) return parseDer(new Uint8Array(input))
  const [block] = pemBlocks(typeof input === 'string' ? input : latin1(input), 'X509 CRL', 1)
  if (!block) throw codecError('revocation list', 'no PEM block', 'an X.509 CRL')
  return parseDer(block)
}

/** True when the list is signed by this CA certificate. Dates are not looked at. */
export function verifyRevocationList(list: RevocationList, issuer: Certificate): boolean {
  const { subject, keyUsage } = certificateParts(issuer)
  const digest = DIGESTS.get(list.signed.algorithm)
  const key = rsaPublicKey(issuer.publicKey)
  if (!equalBytes(list.issuer, subject) || !issuer.isCa || (keyUsage !== undefined && (keyUsage & CRL_SIGN) === 0) || !digest || !key) return false
  return verify(digest, asBuffer(list.signed.bytes), key, asBuffer(list.signed.signature))
}

/** A signed list: the entries of `previous`, then the new ones; number one up, or random at first. @throws ERR_ARGUMENT, ERR_LIMIT */
export async function createRevocationList(
  env: IdentityEnv,
  options: { issuer: Certificate; issuerKey: PrivateKey; revoke: readonly Certificate[]; previous?: RevocationList },
): Promise<RevocationList> {
  const { issuer, issuerKey, previous } = options
  const { subject } = certificateParts(issuer)
  if (!equalBytes(issuer.publicKey, issuerKey.publicKey)) throw new JamiError('ERR_ARGUMENT', 'issuer key: got another key than the certificate has, allowed its key')
  if (previous && !verifyRevocationList(previous, issuer)) throw new JamiError('ERR_ARGUMENT', 'previous list: got one of another issuer, allowed one of this issuer')
  const now = env.clock.wallTimeMs()
  const entries = new Map((previous?.revoked ?? []).map((entry) => [entry.serialHex, entry.dateMs])) // bounded by MAX_ENTRIES below
  for (const certificate of options.revoke) {
    if (!equalBytes(certificateParts(certificate).issuer, subject)) throw new JamiError('ERR_ARGUMENT', 'certificate to revoke: got one of another issuer, allowed one of this issuer')
    if (!entries.has(certificate.serialHex)) entries.set(certificate.serialHex, now)
  }
  if (entries.size > MAX_ENTRIES) throw limitError('revoked certificates', entries.size, MAX_ENTRIES)
  const a = await asn1(env.clock)
  const number = previous?.numberHex === undefined ? positiveNumber(env.random) : following(fromHex(previous.numberHex))
  const list = new a.CertificateRevocationList({
    version: 1,
    signature: sha512WithRsa(a),
    issuer: nameOf(a, subject),
    thisUpdate: timeOf(a, now),
    nextUpdate: timeOf(a, issuer.notAfterMs),
    ...(entries.size === 0 ? {} : {
      revokedCertificates: [...entries].map(([serial, date]) => new a.RevokedCertificate({
        userCertificate: new a.Integer({ valueHex: bufferOf(fromHex(serial)) }), revocationDate: timeOf(a, date),
      })),
    }),
    crlExtensions: new a.Extensions({ extensions: [crlNumber(a, number)] }),
    signatureAlgorithm: sha512WithRsa(a),
  })
  const [signed] = list.toSchema(true).valueBlock.value as [{ toBER(): ArrayBuffer }]
  const signature = await env.crypto.sign(issuerKey, bytesOf(signed))
  list.signatureValue = new a.BitString({ valueHex: bufferOf(signature) })
  return parseDer(bytesOf(list.toSchema(true)))
}

/** The two's complement number plus one, in at least as many bytes. */
function following(number: Uint8Array): Uint8Array {
  const out = number.slice()
  for (let i = out.length - 1; i >= 0; i--) {
    out[i] = ((out[i] ?? 0) + 1) & 0xff
    if (out[i] !== 0) break
  }
  const wasPositive = ((number[0] ?? 0) & 0x80) === 0
  return wasPositive && ((out[0] ?? 0) & 0x80) !== 0 ? concatBytes(Uint8Array.of(0), out) : out
}

function parseDer(bytes: Uint8Array): RevocationList {
  const what = 'revocation list'
  const outer = new DerReader(bytes, what)
  const list = outer.enter()
  outer.end()
  const signedNode = list.next(TAG.sequence)
  const algorithmNode = list.next(TAG.sequence)
  const signature = list.next(TAG.bitString).body
  list.end()
  const tbs = new DerReader(signedNode.body, what)
  const version = tbs.optional(TAG.integer)?.body
  if (version?.length !== 1 || version[0] !== 1) throw codecError('revocation list version', version ? toHex(version) : 'nothing', '1 (X.509 CRL v2)')
  if (!equalBytes(tbs.next(TAG.sequence).raw, algorithmNode.raw)) throw codecError('revocation list', 'two signature algorithms', 'one')
  const issuer = tbs.next(TAG.sequence).raw
  const thisUpdateMs = readTime(tbs.next(), what)
  const hasNext = tbs.nextTag === TAG.utcTime || tbs.nextTag === TAG.generalizedTime
  const nextUpdateMs = hasNext ? readTime(tbs.next(), what) : undefined
  const revoked: RevokedSerial[] = []
  if (tbs.nextTag === TAG.sequence) {
    const entries = tbs.enter()
    while (!entries.done) {
      if (revoked.length >= MAX_ENTRIES) throw limitError('revoked certificates', revoked.length + 1, MAX_ENTRIES)
      const entry = entries.enter()
      const serial = entry.next(TAG.integer).body
      if (serial.length === 0 || serial.length > 32) throw codecError('revoked serial', `${serial.length} bytes`, '1 to 32 bytes')
      revoked.push({ serialHex: toHex(serial), dateMs: readTime(entry.next(), what) })
      entry.optional(TAG.sequence)
      entry.end()
    }
  }
  const numberHex = readNumber(tbs.optional(0xa0)?.body)
  tbs.end()
  if (signature[0] !== 0) throw codecError('revocation list signature', 'a broken BIT STRING', 'whole bytes')
  const algorithm = readOid(new DerReader(algorithmNode.body, what).next(TAG.oid).body, what)
  return { der: bytes, issuer, thisUpdateMs, nextUpdateMs, numberHex, revoked, signed: { bytes: signedNode.raw, algorithm, signature: signature.subarray(1) } }
}

function readNumber(extensions: Uint8Array | undefined): string | undefined {
  if (!extensions) return undefined
  const what = 'revocation list extension'
  const outer = new DerReader(extensions, what)
  const list = outer.enter()
  outer.end()
  let found: string | undefined
  while (!list.done) {
    const extension = list.enter()
    const oid = readOid(extension.next(TAG.oid).body, what)
    const critical = extension.optional(TAG.boolean)?.body[0] === 0xff
    const value = new DerReader(extension.next(TAG.octetString).body, what)
    extension.end()
    if (oid === OID_CRL_NUMBER) {
      const number = value.next(TAG.integer).body
      value.end()
      if (found !== undefined || number.length === 0 || number.length > 21) throw codecError('CRL number', `${number.length} bytes`, '1 to 21 bytes, once')
      found = toHex(number)
    } else if (critical) throw codecError(what, `critical ${oid}`, 'no unknown critical extension')
  }
  return found
}
