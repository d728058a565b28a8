// Leases of mobile devices: made, looked at before their certificate is here, checked with it, compared. Pure but for the signatures.
// docs/protocol/04 §6.7. Proof: drt/leases.test.ts.
import { JamiError } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { AccountUri, Crypto, DeviceId, DeviceIdentity, PeerIdentity } from '@jamikit/core/contracts'
import { parseChain, verifyPeerChain } from '@jamikit/core/identity'
import { LEASE_FORMAT, LEASE_LIFETIME_S, LEASE_RENEWAL_S, LEASE_SKEW_S, MAX_CERTIFICATE_BYTES, MAX_CERTIFICATE_IDS, MAX_CERTIFICATES_BYTES, MAX_LEASE_CONVERSATION, MAX_LEASE_SIGNATURE } from './limits.ts'
import { leasePayload, type MobileLease } from './wire.ts'

/** When a lease that is made now begins and ends, Unix seconds: undefined when our certificate has expired. */
export function leaseTimes(nowS: number, certificateEndMs: number): { issuedAt: number; expiresAt: number } | undefined {
  const expiresAt = Math.min(nowS + LEASE_LIFETIME_S, Math.floor(certificateEndMs / 1000))
  return expiresAt > nowS ? { issuedAt: nowS, expiresAt } : undefined
}

export function needsRenewal(lease: MobileLease | undefined, nowS: number): boolean {
  return !lease || lease.expiresAt - nowS < LEASE_RENEWAL_S
}

/** Signed by our device. */
export async function signLease(crypto: Crypto, identity: DeviceIdentity, conversation: string, times: { issuedAt: number; expiresAt: number }): Promise<MobileLease> {
  const unsigned = { format: LEASE_FORMAT, conversation, issuer: identity.accountId, device: identity.deviceId, ...times }
  return { ...unsigned, signature: await crypto.sign(identity.privateKey, leasePayload(unsigned)) }
}

export interface LeaseContext {
  readonly conversation: string
  /** An admin or a member here, now, and not banned. */
  readonly isMember: (account: AccountUri) => boolean
  readonly nowS: number
}

/** What can be said before the certificate is here: why a lease is not worth looking for it; undefined when it is. */
export function whyNotPlausible(lease: MobileLease, device: DeviceId, { conversation, isMember, nowS }: LeaseContext): string | undefined {
  const { format, issuedAt, expiresAt, signature } = lease
  if (lease.device !== device) return 'of another device'
  if (format !== LEASE_FORMAT) return `format ${format}`
  if (lease.conversation === '' || utf8(lease.conversation).length > MAX_LEASE_CONVERSATION || lease.conversation !== conversation) return 'of another conversation'
  if (signature.length === 0 || signature.length > MAX_LEASE_SIGNATURE) return `a signature of ${signature.length} bytes`
  if (!isMember(lease.issuer)) return 'of an account that is no member'
  if (issuedAt > nowS + LEASE_SKEW_S) return 'issued in the future'
  if (expiresAt <= nowS || expiresAt <= issuedAt) return 'expired'
  if (expiresAt - issuedAt > LEASE_LIFETIME_S) return 'longer than a month'
  return undefined
}

/** With the verified chain of its device. */
export async function isLeaseGood(crypto: Crypto, lease: MobileLease, peer: PeerIdentity): Promise<boolean> {
  const [certificate] = peer.chain
  if (peer.deviceId !== lease.device || peer.accountId !== lease.issuer || lease.expiresAt > Math.floor(certificate.notAfterMs / 1000)) return false
  return crypto.verify(certificate.publicKey, leasePayload(lease), lease.signature)
}

/** Later expiry, then later issue. */
export function isBetterLease(lease: MobileLease, than: MobileLease | undefined): boolean {
  return !than || lease.expiresAt > than.expiresAt || (lease.expiresAt === than.expiresAt && lease.issuedAt > than.issuedAt)
}

/** Chains that a peer sent for the devices that we asked it about; whatever else it sent, and what does not verify, is left out. */
export function chainsOf(certificates: readonly Uint8Array[], asked: ReadonlySet<DeviceId>, nowMs: number): PeerIdentity[] {
  const out = new Map<DeviceId, PeerIdentity>() // bounded by what was asked for
  let bytes = 0
  for (const pem of certificates.slice(0, MAX_CERTIFICATE_IDS)) {
    bytes += pem.length
    if (pem.length > MAX_CERTIFICATE_BYTES || bytes > MAX_CERTIFICATES_BYTES) break
    try {
      const chain = parseChain(pem)
      if (!asked.has(chain[0].longId as DeviceId)) continue
      const peer = verifyPeerChain(chain, { nowMs })
      out.set(peer.deviceId, peer)
    } catch (error) {
      if (!JamiError.is(error)) throw error // a bad one costs itself
    }
  }
  return [...out.values()]
}

/** Chains to send, as many as fit. */
export function fitCertificates(chains: readonly Uint8Array[]): Uint8Array[] {
  const out: Uint8Array[] = []
  let bytes = 0
  for (const pem of chains) {
    if (pem.length > MAX_CERTIFICATE_BYTES || bytes + pem.length > MAX_CERTIFICATES_BYTES) continue
    out.push(pem)
    bytes += pem.length
  }
  return out
}
