// How createJamiNode() assembles packages: factories whose parameter type names exactly what they need. Types only.
import type { ContactBook, DeviceDirectory, PeerMessages, Presence } from './account.ts'
import type { Clock } from './clock.ts'
import type { AccessPolicy, ConnectionManager } from './connection-manager.ts'
import type { Conversations } from './conversations.ts'
import type { Crypto } from './crypto.ts'
import type { Dht } from './dht.ts'
import type { CertificateStore, DeviceIdentity } from './identity.ts'
import type { Logger } from './logger.ts'
import type { Random } from './random.ts'
import type { Network } from './socket.ts'
import type { Service } from './service.ts'
import type { Storage } from './storage.ts'
import type { Transfers } from './transfers.ts'

/** What every part may use. */
export interface BaseEnv {
  /** Time. */
  readonly clock: Clock
  /** Chance. */
  readonly random: Random
  /** RSA and Argon2. */
  readonly crypto: Crypto
  /** Where decisions are written. */
  readonly logger: Logger
  /** Sockets and names. */
  readonly network: Network
}

/** Made once per node. */
export type DhtModule = (
  env: BaseEnv & {
    bootstrap: readonly string[]
    port?: number
    networkId?: number
    maxStoreBytes?: number
    /** Where node id, known nodes and permanent values are kept, under `prefix`; without it they end with the process. */
    storage?: Storage
    /** No trailing slash. */
    prefix?: string
  },
) => Dht

/** Made once per account. */
export type ConnectionsModule = (
  env: BaseEnv & { dht: Dht; identity: DeviceIdentity; certificates: CertificateStore; policy: AccessPolicy; storage: Storage; /** Prefix of this account's records. */ prefix: string },
) => ConnectionManager

/** Made once per account. */
export type ConversationsModule = (
  env: BaseEnv & {
    identity: DeviceIdentity
    /** Current display name; empty = none. */
    displayName: () => string
    connections: ConnectionManager
    certificates: CertificateStore
    contacts: ContactBook
    directory: DeviceDirectory
    presence: Presence
    messages: PeerMessages
    storage: Storage
    /** Prefix of this account's records and files, no trailing slash. */
    prefix: string
    /** Bytes of one conversation's objects up to which others' are taken. */
    maxBytes?: number
  },
) => Conversations

/** What media is for an account; later also its calls. */
export interface Media extends Service {
  /** Files of conversations. */
  readonly transfers: Transfers
}

/** Made once per account. */
export type MediaModule = (
  env: BaseEnv & {
    identity: DeviceIdentity
    connections: ConnectionManager
    conversations: Conversations
    directory: DeviceDirectory
    messages: PeerMessages
    storage: Storage
    /** Prefix of this account's records and files, no trailing slash. */
    prefix: string
  },
) => Media

/** The packages that a node is assembled from. */
export interface Modules {
  /** `dht()` of @jamikit/dht. */
  readonly dht: DhtModule
  /** `ice()` of @jamikit/ice. */
  readonly connections: ConnectionsModule
  /** `swarm()` of @jamikit/swarm. */
  readonly conversations: ConversationsModule
  /** `media()` of @jamikit/media; without it files fail with ERR_UNSUPPORTED. */
  readonly media?: MediaModule
}
