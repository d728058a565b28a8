// The public surface of a node and its DHT: what createJamiNode() takes and gives. Types only; accounts and what is in them: api.ts, with the
// rules that hold for both.
import type { JamiError } from '../base/errors.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Crypto } from '../contracts/crypto.ts'
import type { DhtStatus } from '../contracts/dht.ts'
import type { DeviceId, InfoHash } from '../contracts/ids.ts'
import type { Logger, LogLevel } from '../contracts/logger.ts'
import type { Modules } from '../contracts/module.ts'
import type { Random } from '../contracts/random.ts'
import type { Op } from '../contracts/service.ts'
import type { Network } from '../contracts/socket.ts'
import type { Storage } from '../contracts/storage.ts'
import type { Account, Accounts, Emitter, Peer, PeerLike } from './api.ts'

/** What `console` has; its lines begin with the message. */
export type ConsoleLike = Record<'trace' | 'debug' | 'info' | 'warn' | 'error', (...args: unknown[]) => void>

/** Which network to join. `core` has no default; the package `jamikit` exports `jamiNetwork` and `isolated()`. */
export interface NetworkOptions {
  /** DHT entry points, `host`, `host:port` or `[v6]:port` (port 4222 when left out); empty = contact nobody. Checked at the call, resolved again and again. */
  readonly bootstrap: readonly string[]
}

/** What a node is made of; only `network` and `modules` must be there (`jamikit` fills in both). */
export interface NodeOptions {
  /** A directory, or a storage adapter. Default: memory, gone at the end. */
  storage?: Storage | string
  /** Seals everything that the storage keeps: 32 random bytes, or a function that gives them. The profile opens with this key only, and is lost without it. */
  encryptionKey?: Uint8Array | (() => Uint8Array | Promise<Uint8Array>)
  /** Whom to ask for the network first. */
  network: NetworkOptions
  /** The DHT node: its UDP port, a number that keeps networks apart (0, the public one, when left out), and how many bytes of other nodes' values it keeps. */
  dht?: { /** UDP port, default any. */ port?: number; networkId?: number; maxStoreBytes?: number }
  /** What others may use of this machine. `conversationBytes`: how large a conversation may become, on disk, with what its other members write; 1 GiB when left out. */
  limits?: { conversationBytes?: number }
  /** A pino-like logger, `console`, or a level (then JSON lines go to stderr). Default: silent. */
  logger?: Logger | ConsoleLike | LogLevel
  /** Closes the node when it fires. */
  signal?: AbortSignal
  /** The packages that a node is assembled from. */
  modules: Modules
  /** Replaces time, randomness, cryptography and sockets; for the testing kit. */
  runtime?: { clock?: Clock; random?: Random; crypto?: Crypto; network?: Network }
}

/** `connecting`: no DHT node has answered yet. `online`: at least one address family is connected. `offline`: it was, and is not. `closed`: over. */
export type NodeState = 'connecting' | 'online' | 'offline' | 'closed'

/** Events of a node. */
export interface NodeEvents {
  /** The network came or went. */
  state: { state: NodeState }
  /**
   * Something failed where nobody waits: a listener threw, storage failed, an account could not start. Without a listener each kind is
   * printed once, as a process warning.
   */
  error: { error: JamiError; source: string }
}

export interface JamiNode extends Emitter<NodeEvents>, AsyncDisposable {
  /** As told by the event `state`. */
  readonly state: NodeState
  /** The accounts of the profile. */
  readonly accounts: Accounts
  /** The DHT node itself, for values of your own. */
  readonly dht: Dht
  /**
   * A peer as seen by an account (the only one when left out). Synchronous: works on first use.
   * @throws ERR_ADDRESS_INVALID, ERR_ARGUMENT
   * @example const devices = await node.connect(contact).devices({ timeoutMs: 10_000 })
   */
  connect(peer: PeerLike, options?: { account?: Account; device?: string }): Peer
  /** Numbers of this moment; costs nothing. */
  stats(): NodeStats
  /** Lets running listeners finish for up to `graceMs` (2,000), then closes everything. Idempotent. */
  close(options?: { graceMs?: number }): Promise<void>
}

/** What a node is doing, over all its accounts. */
export interface NodeStats {
  /** Open links to devices. */
  links: number
  /** Open channels over them. */
  channels: number
  /** Good DHT nodes known. */
  dhtNodes: { ipv4: number; ipv6: number }
  /** Received over the links that are open now. */
  bytesIn: number
  /** Sent over the links that are open now. */
  bytesOut: number
}

/** A value of the DHT as programs see it: signatures are verified, encryption is opened. */
export interface DhtEntry {
  /** 64 bits, chosen by whoever put it. */
  readonly id: bigint
  /** At most 65,536 bytes. */
  readonly data: Uint8Array
  /** Type number of OpenDHT; 0 for data of programs. */
  readonly type: number
  /** A free text of whoever put it; empty for none. */
  readonly userType: string
  /** Key id of the signing key (an account id or a device's short id); undefined when unsigned. */
  readonly signer: InfoHash | undefined
  /** It was encrypted for the account given as `as`. */
  readonly encrypted: boolean
}

/** The distributed hash table: small values under 160-bit keys, kept by whoever is there. Anybody reads and writes; sign what must not be forged. */
export interface Dht {
  /** Id of this node; stays the same over restarts of a profile. */
  readonly nodeId: InfoHash
  /** SHA-1 of a text. */
  key(text: string): InfoHash
  /** A random key. */
  random(): InfoHash
  /** Whether nodes are known and answer, for each address family. */
  status(): { ipv4: DhtStatus; ipv6: DhtStatus }
  /** Resolves when at least one family is connected. */
  ready(op?: Op): Promise<void>
  /** Adds entry points (`host`, `host:port`, `[v6]:port`) and tries all there are at once, connected or not. @throws ERR_ARGUMENT naming the entry */
  bootstrap(...hosts: string[]): Promise<void>
  /**
   * Values at a key, each once, until the search is complete.
   * @param options.as also opens values encrypted for this account's device
   * @throws ERR_ARGUMENT at the call
   * @example for await (const { data, signer } of node.dht.get(node.dht.key('weather'))) console.log(signer, new TextDecoder().decode(data))
   */
  get(key: InfoHash, options?: { as?: Account; filter?: (value: DhtEntry) => boolean } & Op): AsyncIterableIterator<DhtEntry>
  /**
   * Values at a key, those that are there and those that come, and again as `expired` when they are gone; until the signal fires or the
   * loop is left. @param options.as also opens values encrypted for this account's device
   */
  listen(key: InfoHash, options?: { as?: Account; signal?: AbortSignal }): AsyncIterableIterator<{ value: DhtEntry; expired: boolean }>
  /**
   * Puts at most 65,536 bytes; nodes keep them for ten minutes, or, when `permanent`, for as long as this node runs (and an hour after a restart, for
   * programs to put them again under the same `id`). A signed value is replaced under its `id` by one of the same account with a higher `seq`.
   * @throws ERR_DHT_UNREACHABLE when no node took it, ERR_NOT_FOUND when the device to encrypt to has no certificate on the DHT, ERR_ARGUMENT
   * @example const { storedBy, cancel } = await node.dht.put(node.dht.key('weather'), 'rain', { permanent: true, sign: account, id: 1n })
   */
  put(
    key: InfoHash,
    data: Uint8Array | string,
    options?: { permanent?: boolean; sign?: Account; encryptTo?: DeviceId; userType?: string; id?: bigint; seq?: number } & Op,
  ): Promise<{ id: bigint; storedBy: number; cancel(): void }>
}
