// What conversations (and later media) may ask of an account's parts. Types only. Real: core/account/{contact-list,presence-tracker,
// message-engine}.ts. Doubles: core/testing/fake-{contacts,directory,messages}.ts. Suites: testing/suites/{contact-book,
// device-directory,presence,peer-messages}.ts.
import type { AccountUri, ConversationId, DeviceId } from './ids.ts'
import type { Listen, Op } from './service.ts'

/** Contacts and bans, read side (spec 03 §5). */
export interface ContactBook {
  /** Active contact: added and not removed since. */
  isContact(account: AccountUri): boolean
  isBanned(id: AccountUri | DeviceId): boolean
  /** The 1:1 conversation linked to the contact. */
  conversationWith(account: AccountUri): ConversationId | undefined
  isConfirmed(account: AccountUri): boolean
}

/** Devices of other accounts as announced on the DHT (spec 03 §2.6.2, §5.4 forEachDevice). */
export interface DeviceDirectory {
  /** Announced devices of an account, chains verified and pinned, each once; empty when it is offline. */
  devicesOf(account: AccountUri, op?: Op): AsyncIterable<DeviceId>
}

export type PresenceState = 'offline' | 'available' | 'connected'

export interface Presence {
  state(account: AccountUri): PresenceState
  readonly onChange: Listen<{ account: AccountUri; state: PresenceState }>
}

export interface PeerMessage {
  readonly from: AccountUri
  readonly fromDevice: DeviceId
  readonly mime: string
  readonly body: string
}

/** Small typed messages between devices: the message channel, later also SIP MESSAGE (spec 03 §7). */
export interface PeerMessages {
  /**
   * Queues a message for an account or one device and retries when the peer appears (spec 03 §7.4). With `replaces`, a
   * message still queued under the same slot for that target is replaced. With `connectedOnly`, dropped unless a channel is open.
   * Resolves true when written to at least one channel, false when dropped or given up. Text never exceeds 64,000 bytes; a lone
   * surrogate in it is sent as U+FFFD. What waits, and what a peer does not read, is bounded: contacts and own devices have a share of their own. @throws ERR_LIMIT
   */
  send(to: AccountUri | DeviceId, message: { mime: string; body: string }, options?: { replaces?: string; connectedOnly?: boolean; connType?: string }): Promise<boolean>
  /** One handler per MIME type. Text is valid UTF-8; the sender is the verified device. */
  handle(mime: string, fn: (message: PeerMessage) => void | Promise<void>): () => void
  /** A message channel with this device is ready, in either direction (spec 04 §4.8). Comes again when another one opens. */
  readonly onPeerReady: Listen<{ account: AccountUri; device: DeviceId }>
  /** Devices with an open message channel. */
  connectedDevices(account: AccountUri): DeviceId[]
}
