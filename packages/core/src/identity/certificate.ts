// Reading X.509 certificates: what the contract's Certificate shows, plus the few facts that verification needs, kept aside.
// Every certificate passes two parsers (OpenSSL's and the strict one here), which must agree about the key.
// docs/protocol/03 §2.2, 01 §5.6. Proof: identity/certificate.test.ts (captured chains, refusal table, fuzz).
import { X509Certificate } from 'node:crypto'
import { codecError, JamiError, limitError } from '../base/errors.ts'
import { equalBytes, toHex } from '../codec/bytes.ts'
import type { Certificate, CertificateChain } from '../contracts/identity.ts'
import { sha1, sha256 } from '../crypto/hash.ts'
import { isAffordableRsa } from '../crypto/keys.ts'
import { DerReader, readOid, readTime, TAG } from './der.ts'
import { readName } from './name.ts'
import { latin1, pemBlocks, toPem } from './pem.ts'

export const MAX_CHAIN_CERTIFICATES = 8
export const MAX_CHAIN_BYTES = 65_536
const MAX_CERTIFICATE_BYTES = 16_384
const LABEL = 'CERTIFICATE'
const OID = { subjectKeyId: '2.5.29.14', keyUsage: '2.5.29.15', basicConstraints: '2.5.29.19' } as const

/** Parts of a certificate that only identity looks at. */
export interface CertificateParts {
  readonly x509: X509Certificate
  /** Name elements, DER. */
  readonly subject: Uint8Array
  readonly issuer: Uint8Array
  readonly signatureOid: string
  /** First byte of the KeyUsage bits, undefined without the extension. */
  readonly keyUsage: number | undefined
  /** How many CA certificates may stand between this CA and the leaf, undefined = any number. */
  readonly pathLength: number | undefined
}

const parts = new WeakMap<Certificate, CertificateParts>()
/** The same certificates come again and again: with every value, link and commit. */
const MAX_CACHED = 512
const parsed = new Map<string, Certificate>() // by SHA-256 of the bytes; bounded by MAX_CACHED, oldest out

export function certificateParts(certificate: Certificate): CertificateParts {
  const known = parts.get(certificate)
  if (known) return known
  return parts.get(genuine(certificate)) as CertificateParts
}

/** The certificate itself when the parser made it; one built elsewhere (copied, say) is read again from its bytes. */
export function genuine(certificate: Certificate): Certificate {
  return parts.has(certificate) ? certificate : parseDer(certificate.der)
}

/** One certificate, DER or PEM (the first block). @throws ERR_CODEC, ERR_LIMIT */
export function parseCertificate(input: Uint8Array | string): Certificate {
  if (typeof input !== 'string' && input[0] === TAG.sequence) return parseDer(input)
  const text = typeof input === 'string' ? input : latin1(input.subarray(0, MAX_CHAIN_BYTES))
  const [first] = pemBlocks(text, LABEL, MAX_CHAIN_CERTIFICATES)
  if (!first) throw codecError('certificate', 'no PEM block', 'a certificate')
  return parseDer(first)
}

/**
 * A chain, leaf first: PEM blocks (a msgpack header before them is skipped) or DER certificates one after the other.
 * Nothing is verified, but each one must name the next one as its issuer. @throws ERR_CODEC, ERR_LIMIT
 */
export function parseChain(input: Uint8Array | string): CertificateChain {
  if (input.length > MAX_CHAIN_BYTES) throw limitError('certificate chain bytes', input.length, MAX_CHAIN_BYTES)
  const ders: Uint8Array[] = []
  if (typeof input !== 'string' && input[0] === TAG.sequence) {
    const reader = new DerReader(input, 'certificate chain')
    while (!reader.done) {
      if (ders.length >= MAX_CHAIN_CERTIFICATES) throw limitError('certificates in a chain', ders.length + 1, MAX_CHAIN_CERTIFICATES)
      ders.push(reader.next(TAG.sequence).raw)
    }
  } else ders.push(...pemBlocks(typeof input === 'string' ? input : latin1(input), LABEL, MAX_CHAIN_CERTIFICATES))
  const [leaf, ...issuers] = ders.map(parseDer)
  if (!leaf) throw codecError('certificate chain', 'no certificate', 'at least one')
  let child = leaf
  for (const issuer of issuers) {
    if (!equalBytes(certificateParts(child).issuer, certificateParts(issuer).subject)) throw codecError('certificate chain', 'an unsorted chain', 'leaf to root')
    child = issuer
  }
  return [leaf, ...issuers]
}

/** PEM, leaf first. */
export function chainToPem(chain: CertificateChain): string {
  return chain.map((certificate) => certificate.pem).join('')
}

function parseDer(input: Uint8Array): Certificate {
  if (input.length > MAX_CERTIFICATE_BYTES) throw limitError('certificate bytes', input.length, MAX_CERTIFICATE_BYTES)
  const name = toHex(sha256(input))
  const known = parsed.get(name)
  if (known && equalBytes(known.der, input)) return known
  const certificate = parseFresh(new Uint8Array(input))
  if (parsed.size >= MAX_CACHED) parsed.delete(parsed.keys().next().value as string)
  parsed.set(name, certificate)
  return certificate
}

function parseFresh(bytes: Uint8Array): Certificate {
  const what = 'certificate'
  const outer = new DerReader(bytes, what)
  const certificate = outer.enter()
  outer.end()
  const tbs = certificate.enter()
  const signatureOid = readOid(certificate.enter().next(TAG.oid).body, what)
  certificate.next(TAG.bitString)
  certificate.end()
  const version = tbs.enter(0xa0).next(TAG.integer).body
  if (version.length !== 1 || version[0] !== 2) throw codecError('certificate version', toHex(version), '2 (X.509 v3)')
  const serial = tbs.next(TAG.integer).body
  if (serial.length === 0 || serial.length > 32) throw codecError('certificate serial', `${serial.length} bytes`, '1 to 32 bytes')
  tbs.next(TAG.sequence) // signature algorithm again: OpenSSL compares the two when it verifies
  const issuer = tbs.next(TAG.sequence).raw
  const validity = tbs.enter()
  const notBeforeMs = readTime(validity.next(), 'certificate notBefore')
  const notAfterMs = readTime(validity.next(), 'certificate notAfter')
  validity.end()
  const subject = tbs.next(TAG.sequence).raw
  const publicKey = tbs.next(TAG.sequence).raw
  tbs.optional(0x81)
  tbs.optional(0x82)
  const extensions = tbs.optional(0xa3)
  tbs.end()
  const { isCa, keyUsage, pathLength } = readExtensions(extensions?.body)
  const names = readName(subject, 'certificate subject')
  const x509 = secondOpinion(bytes, publicKey)
  const result: Certificate = Object.freeze({
    der: bytes,
    pem: toPem(bytes, LABEL),
    publicKey: publicKey.slice(),
    shortId: toHex(sha1(publicKey)),
    longId: toHex(sha256(publicKey)),
    subjectCn: names.cn ?? '',
    subjectUid: names.uid,
    issuerUid: readName(issuer, 'certificate issuer').uid,
    isCa,
    notBeforeMs,
    notAfterMs,
    serialHex: toHex(serial),
  })
  parts.set(result, { x509, subject, issuer, signatureOid, keyUsage, pathLength })
  return result
}

/** OpenSSL must read the same bytes and find the same key. */
function secondOpinion(bytes: Uint8Array, publicKey: Uint8Array): X509Certificate {
  let x509: X509Certificate
  try {
    x509 = new X509Certificate(bytes)
    if (!equalBytes(x509.publicKey.export({ type: 'spki', format: 'der' }), publicKey) || !equalBytes(x509.raw, bytes)) throw codecError('certificate key', 'an ambiguous encoding', 'DER')
  } catch (error) {
    if (JamiError.is(error)) throw error
    throw new JamiError('ERR_CODEC', 'certificate: got bytes that OpenSSL refuses, allowed X.509', { cause: error })
  }
  // Before anything is verified with it: the one who made the key chose what that costs.
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = x509.publicKey
  if (type === 'rsa' && !isAffordableRsa(x509.publicKey))
    throw codecError('certificate key', `RSA of ${details?.modulusLength ?? 0} bits, exponent of ${(details?.publicExponent ?? 0n).toString(2).length} bits`, 'RSA of at most 8192 bits with an odd exponent of 3 to 2^32 - 1')
  return x509
}

function readExtensions(wrapped: Uint8Array | undefined): { isCa: boolean; keyUsage: number | undefined; pathLength: number | undefined } {
  let isCa = false
  let keyUsage: number | undefined
  let pathLength: number | undefined
  if (!wrapped) return { isCa, keyUsage, pathLength }
  const outer = new DerReader(wrapped, 'certificate extensions')
  const list = outer.enter()
  outer.end()
  const seen = new Set<string>() // bounded by the certificate's length
  while (!list.done) {
    const extension = list.enter()
    const oid = readOid(extension.next(TAG.oid).body, 'certificate extension')
    const critical = extension.optional(TAG.boolean)?.body[0] === 0xff
    const value = new DerReader(extension.next(TAG.octetString).body, 'certificate extension')
    extension.end()
    if (seen.has(oid)) throw codecError('certificate extension', `${oid} twice`, 'each once')
    seen.add(oid)
    if (oid === OID.basicConstraints) {
      const fields = value.enter()
      value.end()
      isCa = fields.optional(TAG.boolean)?.body[0] === 0xff
      const most = fields.optional(TAG.integer)?.body
      if (most) pathLength = most.length === 1 && (most[0] as number) < 0x80 ? (most[0] as number) : 0x7f // chains are shorter than that
    } else if (oid === OID.keyUsage) {
      const bits = value.next(TAG.bitString).body
      value.end()
      keyUsage = bits[1] ?? 0
    } else if (oid !== OID.subjectKeyId && critical) throw codecError('certificate extension', `critical ${oid}`, 'no unknown critical extension')
  }
  return { isCa, keyUsage, pathLength }
}
