// Links and channels to devices, for one account. Types only. Real: @jamikit/ice. Double: core/testing/fake-connections.ts.
// Suite: testing/suites/connection-manager.ts. Source: docs/protocol/02 §4.9, §5, §6.
import type { Channel, ChannelPath } from './channel.ts'
import type { PeerIdentity } from './identity.ts'
import type { AccountUri, DeviceId } from './ids.ts'
import type { Listen, Op, Service } from './service.ts'

/** Decides and receives the channels of one scheme (text before the first `:`; `sip` alone is a scheme). */
export interface ChannelHandler {
  /** Must settle within 3 s; throwing declines. */
  accept(name: string, peer: PeerIdentity): boolean | Promise<boolean>
  /** Gets the open channel; owns it from then on. */
  open(channel: Channel): void
  /**
   * How many channels of the group `of` one device may have at once, those that wait for `accept` included and over all its links.
   * More are declined without asking. No limit of its own when left out.
   */
  limit?(name: string): { readonly of: string; readonly max: number } | undefined
}

/** How a channel is opened. */
export interface OpenChannelOptions extends Op {
  /** Whose device it is: said by whoever knows, as anybody can publish a certificate for a foreign device. */
  account?: AccountUri
  /** Label of the connection request for push filters (spec 02 §1.4). */
  connType?: string
  /** Join a pending operation or an open channel of the same name instead of opening a second one. */
  unique?: boolean
  /** Much is to come: may take a link of its own, beside the one that texts use. Whoever gives it is no worse off when there is none. */
  bulk?: boolean
  /** Only over an existing link; ERR_PEER_OFFLINE otherwise. */
  existingLinkOnly?: boolean
}

/** What we are to a device's account; `member`: we share a conversation and are no contacts. Strangers never use up what members need, nor members what contacts and own devices need. */
export type PeerClass = 'own' | 'contact' | 'member' | 'stranger'

/** An open link, as of the call. */
export interface LinkInfo {
  /** Unique among the links of this manager; both sides of a link know it by the same one. */
  readonly id: string
  /** The verified device at the other end. */
  readonly peer: PeerIdentity
  /** Which share of room and time it gets. */
  readonly class: PeerClass
  /** How it goes. */
  readonly path: ChannelPath
  /** Open ones. */
  readonly channels: number
  /** Payload received, in bytes. */
  readonly bytesIn: number
  /** Payload sent, in bytes. */
  readonly bytesOut: number
  /** Unix milliseconds. */
  readonly openedAtMs: number
}

/** Makes, shares and ends the links of one account. */
export interface ConnectionManager extends Service {
  /** @throws ERR_PEER_OFFLINE, ERR_PEER_REFUSED, ERR_NO_ROUTE, ERR_CHANNEL_DECLINED, ERR_LINK_LOST, ERR_TIMEOUT, ERR_ABORTED, ERR_CLOSED */
  openChannel(device: DeviceId, name: string, options?: OpenChannelOptions): Promise<Channel>
  /** One handler per scheme; the result takes it away. @throws ERR_ARGUMENT when the scheme is taken */
  handle(scheme: string, handler: ChannelHandler): () => void
  /** All that are open. */
  links(): LinkInfo[]
  /** The first link to a device is up / the last one is gone. */
  readonly onLink: Listen<{ peer: PeerIdentity; up: boolean }>
  /** Closes all links with a device or with all devices of an account and fails their pending operations. */
  closePeer(peer: DeviceId | AccountUri, reason?: Error): Promise<void>
  /** Local addresses changed: probe every link (beacon), dead ones close. */
  connectivityChanged(): void
}

/** Who may connect; core/account answers it, ice asks. */
export interface AccessPolicy {
  /** Before a link is made: own devices, contacts, and members of our conversations, unless banned (spec 03 §5.3.1). */
  allowsLink(peer: PeerIdentity): boolean
  /** Which share of room and time the peer gets. Without it everybody who is allowed counts as a contact, everybody else as a stranger. */
  classOf?(peer: PeerIdentity): PeerClass
}
