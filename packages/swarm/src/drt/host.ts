// What the engine of the routing table asks of its surroundings, and what it is told of itself. Types only. docs/protocol/04 §6.
import type { JamiError } from '@jamikit/core/base'
import type { AccountUri, ConversationId, DeviceId, PeerIdentity, Random } from '@jamikit/core/contracts'
import type { MobileLease } from './wire.ts'

export interface DrtHost {
  /** Opens a channel: `channelUp` follows, or `dialFailed`. */
  dial(device: DeviceId, options: { account: AccountUri | undefined; existingLinkOnly: boolean }): void
  send(channel: number, bytes: Uint8Array): void
  /** Ends a channel; `channelDown` need not follow. */
  close(channel: number, reason: JamiError): void
  /** A device has its first channel, or has lost its last one. */
  node(device: DeviceId, account: AccountUri, up: boolean): void
  /** The first device is connected; none is, and none is being dialled. */
  connected(isConnected: boolean): void
  /** Answered by `certificateFound`. */
  findCertificate(device: DeviceId, account: AccountUri, where: 'here' | 'dht'): void
  /** Answered by `leaseChecked`. */
  checkLease(lease: MobileLease, peer: PeerIdentity): void
  /** Chains as PEM, those that are here; answered by `certificatesLoaded`. */
  loadCertificates(peer: DeviceId, ids: readonly DeviceId[]): void
  /** Answered by `leaseSigned`. */
  signLease(times: { issuedAt: number; expiresAt: number }): void
  /** The mobile devices to remember are others than before. */
  mobilesChanged(): void
  /** A link with this device is open. */
  hasLink(device: DeviceId): boolean
  /** Member or invited, not banned (spec 04 §4.2). */
  isAllowed(account: AccountUri, device: DeviceId): boolean
  /** Admin or member, not banned. */
  isMember(account: AccountUri): boolean
}

export interface DrtOptions {
  readonly device: DeviceId
  readonly conversation: ConversationId
  /** When our certificate ends, Unix ms. */
  readonly certificateEndMs: number
  readonly random: Random
  readonly wallTimeMs: () => number
}
