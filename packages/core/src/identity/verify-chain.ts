// Verification of certificates, link by link, and the only maker of PeerIdentity. Nothing is taken from a certificate store
// of the system: an account is its key, and the chain must prove that this key certifies the device.
// docs/protocol/03 §2.2.1, 01 §5.7. Proof: identity/verify-chain.test.ts.
import { createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { JamiError } from '../base/errors.ts'
import { equalBytes } from '../codec/bytes.ts'
import type { Certificate, CertificateChain, PeerIdentity } from '../contracts/identity.ts'
import { isAcceptableRsa } from '../crypto/keys.ts'
import { certificateParts, genuine, MAX_CHAIN_CERTIFICATES } from './certificate.ts'
import { parseAccountUri, parseDeviceId } from './ids.ts'

const KEY_CERT_SIGN = 0x04
/** PKCS#1 and ECDSA with SHA-256, 384, 512. */
const SIGNATURES: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.11', '1.2.840.113549.1.1.12', '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2', '1.2.840.10045.4.3.3', '1.2.840.10045.4.3.4',
])
const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1'])

/** True when `issuer` is a CA and really signed `child`: names, CA flag, key usage, algorithm, signature. Dates are not looked at. */
export function verifyIssued(child: Certificate, issuer: Certificate): boolean {
  return whyNotIssued(genuine(child), genuine(issuer)) === undefined
}

/** Clocks differ: a certificate that begins up to a day from now is good, as its account says so and nobody gains by it. */
export const CLOCK_SKEW_MS = 86_400_000

/** What a chain is verified against. */
export interface VerifyChainOptions {
  /** Unix milliseconds. */
  nowMs: number
  /** For our own chain: when it begins does not matter, so that a machine with a slow clock starts. */
  anyBeginning?: boolean
  /** Asked for every certificate below the top, with its issuer. */
  isRevoked?: (certificate: Certificate, issuer: Certificate) => boolean
}

/**
 * Verifies a device's chain: every signature up to a self-signed root, dates, CA flags, path lengths, key sizes, ids in names.
 * Whether it is the expected account is for the caller to compare. @throws ERR_CERTIFICATE, ERR_DEVICE_REVOKED
 */
export function verifyPeerChain(presented: CertificateChain, options: VerifyChainOptions): PeerIdentity {
  if (presented.length > MAX_CHAIN_CERTIFICATES) throw refused('length', `${presented.length} certificates`, `at most ${MAX_CHAIN_CERTIFICATES}`)
  const [leaf, ...issuers] = presented
  const chain: CertificateChain = [genuine(leaf), ...issuers.map(genuine)]
  const [device, account] = chain
  if (!account) throw refused('length', 'a single certificate', 'a device certificate with its issuers')
  if (equalBytes(device.publicKey, account.publicKey)) throw refused('device key', 'the key of its issuer', 'a key of its own')
  for (const [level, certificate] of chain.entries()) {
    const where = `certificate ${level}`
    if (!options.anyBeginning && options.nowMs + CLOCK_SKEW_MS < certificate.notBeforeMs) throw refused(where, 'not valid yet', `valid from ${new Date(certificate.notBeforeMs).toISOString()}`)
    if (options.nowMs > certificate.notAfterMs) throw refused(where, 'expired', `valid until ${new Date(certificate.notAfterMs).toISOString()}`)
    const problem = weakness(certificate, level)
    if (problem) throw refused(where, problem, level < 2 ? 'RSA of 2048 to 8192 bits' : 'RSA of 2048 to 8192 bits or a NIST curve')
    if (level < 2 && certificate.subjectUid !== undefined && certificate.subjectUid.toLowerCase() !== certificate.shortId)
      throw refused(where, 'a UID of another key', 'the SHA-1 of its own key')
    const issuer = chain[level + 1] ?? certificate // the top one must be signed by itself
    const reason = whyNotIssued(certificate, issuer)
    if (reason) throw refused(where, reason, 'issued by the next certificate, the last one by itself')
    const { pathLength } = certificateParts(certificate)
    if (pathLength !== undefined && level - 1 > pathLength) throw refused(where, `${level - 1} CAs below a CA of path length ${pathLength}`, 'no more than its path length')
    if (issuer !== certificate && options.isRevoked?.(certificate, issuer))
      throw new JamiError('ERR_DEVICE_REVOKED', `certificate ${level} of device ${device.longId} was revoked`, { details: { device: device.longId, level } })
  }
  return Object.freeze({ accountId: parseAccountUri(account.shortId), deviceId: parseDeviceId(device.longId), chain })
}

function whyNotIssued(child: Certificate, issuer: Certificate): string | undefined {
  const below = certificateParts(child)
  const above = certificateParts(issuer)
  if (!equalBytes(below.issuer, above.subject)) return 'another issuer name'
  if (!issuer.isCa) return 'an issuer that is not a CA'
  if (above.keyUsage !== undefined && (above.keyUsage & KEY_CERT_SIGN) === 0) return 'an issuer whose key may not sign certificates'
  if (!SIGNATURES.has(below.signatureOid)) return `signature algorithm ${below.signatureOid}`
  try {
    const key = publicKeyOf(issuer)
    return key && below.x509.checkIssued(above.x509) && isSignedBy(below.x509, key) ? undefined : 'a signature that does not verify'
  } catch {
    return 'a signature that does not verify'
  }
}

function weakness(certificate: Certificate, level: number): string | undefined {
  const key = publicKeyOf(certificate)
  if (!key) return 'an unreadable key'
  if (key.asymmetricKeyType === 'rsa') return isAcceptableRsa(key) ? undefined : `RSA of ${key.asymmetricKeyDetails?.modulusLength ?? 0} bits`
  if (level >= 2 && key.asymmetricKeyType === 'ec' && CURVES.has(key.asymmetricKeyDetails?.namedCurve ?? '')) return undefined
  return `a key of type ${key.asymmetricKeyType ?? 'unknown'}`
}

const signedBy = new WeakMap<X509Certificate, WeakMap<KeyObject, boolean>>()

/** The signature of a parsed certificate by a key never changes: each pair is verified once. */
function isSignedBy(certificate: X509Certificate, key: KeyObject): boolean {
  const known = signedBy.get(certificate) ?? new WeakMap<KeyObject, boolean>()
  signedBy.set(certificate, known)
  const before = known.get(key)
  if (before !== undefined) return before
  const result = certificate.verify(key)
  known.set(key, result)
  return result
}

const publicKeys = new WeakMap<Certificate, { bytes: Uint8Array; key: KeyObject }>()

function publicKeyOf(certificate: Certificate): KeyObject | undefined {
  const known = publicKeys.get(certificate)
  if (known && equalBytes(known.bytes, certificate.publicKey)) return known.key
  try {
    const bytes = new Uint8Array(certificate.publicKey)
    const key = createPublicKey({ key: Buffer.from(bytes), format: 'der', type: 'spki' })
    publicKeys.set(certificate, { bytes, key })
    return key
  } catch {
    return undefined
  }
}

function refused(field: string, got: string, allowed: string): JamiError {
  return new JamiError('ERR_CERTIFICATE', `certificate chain, ${field}: got ${got}, allowed ${allowed}`, { details: { field, got, allowed } })
}
