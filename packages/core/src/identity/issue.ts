// Making certificates, byte for byte of the structure that the network's own have: CN and UID as two RDNs, SKI = SHA-1 of
// the key, no extension on a device. The signature goes through the Crypto contract, so tests stay in virtual time.
// docs/protocol/03 §2.1, §2.2, 01 §5.6. Proof: identity/issue.test.ts (against OpenSSL and a captured structure).
import type { Clock } from '../contracts/clock.ts'
import type { Crypto } from '../contracts/crypto.ts'
import type { Certificate, CertificateChain, DeviceIdentity, PrivateKey } from '../contracts/identity.ts'
import type { Random } from '../contracts/random.ts'
import { JamiError } from '../base/errors.ts'
import { equalBytes } from '../codec/bytes.ts'
import { asn1, bufferOf, bytesOf, caExtensions, nameBytes, nameOf, sha512WithRsa, timeOf } from './asn1.ts'
import { certificateParts, parseCertificate } from './certificate.ts'
import { accountUriOf, deviceIdOf, shortIdOf } from './ids.ts'

/** What making an identity needs. */
export interface IdentityEnv {
  /** Makes and uses the keys. */
  readonly crypto: Crypto
  /** Tells from when on a certificate holds. */
  readonly clock: Clock
  /** Serial numbers and the eth key. */
  readonly random: Random
}

/** A whole account as its owner has it. */
export interface AccountIdentity {
  /** Its SHA-1 is the account. */
  readonly accountKey: PrivateKey
  /** account → CA */
  readonly accountChain: CertificateChain
  /** Absent for accounts that an organisation issued. */
  readonly caKey?: PrivateKey
  /** 32 bytes, a secp256k1 secret (spec 03 §2.7). */
  readonly ethKey: Uint8Array
  /** The first device. */
  readonly device: DeviceIdentity
}

/** Our clock may be fast, and those of peers slow: what we issue began a day ago. */
const BACK_DATED_MS = 86_400_000
/** No machine that runs this lives earlier: one without a battery clock does not issue what is expired for everybody else. */
const EARLIEST_MS = Date.UTC(2026, 0, 1)
/** 10 × 365 days (spec 03 §2.2). */
const VALIDITY_MS = 3650 * 86_400_000
/** Order of secp256k1. */
const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/** New keys for CA, account and device (RSA 4096), their certificates, and an eth key. */
export async function createAccountIdentity(env: IdentityEnv): Promise<AccountIdentity> {
  const [caKey, accountKey, deviceKey] = await Promise.all([env.crypto.generateKey(4096), env.crypto.generateKey(4096), env.crypto.generateKey(4096)])
  const a = await asn1(env.clock)
  const caName = nameBytes(a, 'Jami CA', shortIdOf(caKey.publicKey))
  const ca = await issue(env, { subject: caName, publicKey: caKey.publicKey, issuer: caName, signer: caKey, isCa: true })
  const account = await issue(env, {
    subject: nameBytes(a, 'Jami', shortIdOf(accountKey.publicKey)), publicKey: accountKey.publicKey, issuer: caName, signer: caKey, isCa: true,
  })
  const accountChain: CertificateChain = [account, ca]
  const device = await createDeviceIdentity(env, { accountKey, accountChain, deviceKey })
  return { accountKey, accountChain, caKey, ethKey: createEthKey(env.random), device }
}

/** A device of an existing account: a new key unless one is given, and a certificate from the account key. @throws ERR_CERTIFICATE */
export async function createDeviceIdentity(
  env: IdentityEnv,
  options: { accountKey: PrivateKey; accountChain: CertificateChain; deviceKey?: PrivateKey },
): Promise<DeviceIdentity> {
  const [account, ...issuers] = options.accountChain
  const deviceKey = options.deviceKey ?? (await env.crypto.generateKey(4096))
  const certificate = await issueDeviceCertificate(env, { accountKey: options.accountKey, account, devicePublicKey: deviceKey.publicKey })
  return {
    accountId: accountUriOf(account.publicKey),
    deviceId: deviceIdOf(deviceKey.publicKey),
    deviceShortId: shortIdOf(deviceKey.publicKey),
    privateKey: deviceKey,
    chain: [certificate, account, ...issuers],
  }
}

/** The certificate of a device key: no extensions, as real devices have it. @throws ERR_CERTIFICATE when the key is not the account's */
export async function issueDeviceCertificate(
  env: IdentityEnv,
  options: { accountKey: PrivateKey; account: Certificate; devicePublicKey: Uint8Array },
): Promise<Certificate> {
  const { account, accountKey, devicePublicKey } = options
  if (!equalBytes(account.publicKey, accountKey.publicKey)) throw new JamiError('ERR_CERTIFICATE', 'account key: got another key than the certificate has, allowed its key')
  const subject = nameBytes(await asn1(env.clock), 'Jami device', shortIdOf(devicePublicKey))
  return issue(env, { subject, publicKey: devicePublicKey, issuer: certificateParts(account).subject, signer: accountKey, isCa: false })
}

async function issue(
  env: IdentityEnv,
  options: { subject: Uint8Array; publicKey: Uint8Array; issuer: Uint8Array; signer: PrivateKey; isCa: boolean },
): Promise<Certificate> {
  const a = await asn1(env.clock)
  const now = Math.max(env.clock.wallTimeMs(), EARLIEST_MS)
  const certificate = new a.Certificate({
    version: 2,
    serialNumber: new a.Integer({ valueHex: bufferOf(positiveNumber(env.random)) }),
    signature: sha512WithRsa(a),
    issuer: nameOf(a, options.issuer),
    notBefore: timeOf(a, now - BACK_DATED_MS),
    notAfter: timeOf(a, now + VALIDITY_MS),
    subject: nameOf(a, options.subject),
    subjectPublicKeyInfo: a.PublicKeyInfo.fromBER(bufferOf(options.publicKey)),
    ...(options.isCa ? { extensions: caExtensions(a, options.publicKey) } : {}),
    signatureAlgorithm: sha512WithRsa(a),
  })
  const signature = await env.crypto.sign(options.signer, bytesOf(certificate.encodeTBS()))
  certificate.signatureValue = new a.BitString({ valueHex: bufferOf(signature) })
  return parseCertificate(bytesOf(certificate.toSchema(true)))
}

/** 8 bytes that read as a positive INTEGER without padding, as serials and CRL numbers are here. */
export function positiveNumber(random: Random): Uint8Array {
  const digits = random.bytes(8)
  digits[0] = ((digits[0] ?? 0) & 0x7f) || 1
  return digits
}

/** 32 bytes below the order of secp256k1, not zero. */
export function createEthKey(random: Random): Uint8Array {
  for (;;) {
    const key = random.bytes(32)
    let value = 0n
    for (const byte of key) value = (value << 8n) | BigInt(byte)
    if (value > 0n && value < CURVE_ORDER) return key
  }
}
