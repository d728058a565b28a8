// Certificates, keys and who we are. Types only. Implementations: core/identity, core/crypto; of CertificateStore
// core/account/certificate-directory.ts. Its double: core/testing/fake-certificates.ts. Its suite: testing/suites/certificates.ts.
import type { AccountUri, DeviceId, InfoHash } from './ids.ts'
import type { Op } from './service.ts'

/** An X.509 certificate as received; `der` is never re-encoded. */
export interface Certificate {
  /** The bytes as received. */
  readonly der: Uint8Array
  /** The same as text. */
  readonly pem: string
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  /** SHA-1 of `publicKey`: 40 hex. For an account certificate this is the account id. */
  readonly shortId: string
  /** SHA-256 of `publicKey`: 64 hex. For a device certificate this is the device id. */
  readonly longId: string
  /** Common name of the subject; empty for none. */
  readonly subjectCn: string
  /** UID of the subject: the id of an account or device, as it says. */
  readonly subjectUid: string | undefined
  /** UID of the issuer. */
  readonly issuerUid: string | undefined
  /** May issue certificates. */
  readonly isCa: boolean
  /** Unix milliseconds. */
  readonly notBeforeMs: number
  /** Unix milliseconds. */
  readonly notAfterMs: number
  /** Content bytes of the DER INTEGER, in hex; may be negative in old accounts (spec 03 §2.2). */
  readonly serialHex: string
}

/** Leaf first (device → account → CA), each issued by the next one. Not verified by its mere existence. */
export type CertificateChain = readonly [Certificate, ...Certificate[]]

/** A private key; only crypto implementations look inside. */
export interface PrivateKey {
  /** Unencrypted PKCS#8 PEM. Never log it. */
  readonly pem: string
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
}

/** The device that runs here, with everything it needs to prove who it is. */
export interface DeviceIdentity {
  /** The account it belongs to. */
  readonly accountId: AccountUri
  /** SHA-256 of its public key. */
  readonly deviceId: DeviceId
  /** SHA-1 of the device public key, 40 hex. */
  readonly deviceShortId: InfoHash
  /** Signs, and opens links. */
  readonly privateKey: PrivateKey
  /** device → account → CA */
  readonly chain: CertificateChain
}

/** A device of the other side after full verification: built only by identity/verify-chain.ts. */
export interface PeerIdentity {
  /** The account that certified the device. */
  readonly accountId: AccountUri
  /** SHA-256 of its public key. */
  readonly deviceId: DeviceId
  /** As verified. */
  readonly chain: CertificateChain
}

/** What a look-up is told. */
export interface FindOptions extends Op {
  /** SHA-1 of the device key, where older peers publish. */
  shortId?: InfoHash
  /** Only a chain of this account: whoever knows whom it expects says so, as anybody can certify a foreign key. */
  account?: AccountUri
  /** Who the device belongs to is decided by the answer: only an account that nobody contests, whoever we deal with. */
  sole?: boolean
}

/** The one place where certificates of others are kept and found. A device key belongs to the account that its own link proves; what is only published is a claim. */
export interface CertificateStore {
  /** Verified chain of a device, from memory or disk: what a link proved, else what was found, unless several accounts claim the device. */
  get(device: DeviceId, account?: AccountUri): Promise<PeerIdentity | undefined>
  /** Verifies and keeps a chain whose device has just proved that it has the key: a link. @throws ERR_CERTIFICATE, ERR_DEVICE_REVOKED, ERR_STORAGE_IO */
  pin(chain: CertificateChain): Promise<PeerIdentity>
  /** `get`, else looked up on the DHT (docs/protocol/01 §5.10, 03 §2.5); undefined when nobody has it, or when several accounts claim the device and none of them, or several, are contacts. */
  find(device: DeviceId, op?: FindOptions): Promise<PeerIdentity | undefined>
}
