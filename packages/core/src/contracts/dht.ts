// The distributed hash table as accounts, links and conversations use it. Types only. Real: @jamikit/dht.
// Double: core/testing/fake-dht.ts. Suite: testing/suites/dht.ts. Source: docs/protocol/01-opendht.md.
import type { PrivateKey } from './identity.ts'
import type { InfoHash } from './ids.ts'
import type { Listen, Op, Service } from './service.ts'

/** `disconnected`: knows no node. `connecting`: none has answered lately. `connected`: one has. */
export type DhtStatus = 'disconnected' | 'connecting' | 'connected'

/** A value as it came out of the network: signatures verified, encryption opened; what fails either never appears. */
export interface DhtValue {
  /** 64 bits. */
  readonly id: bigint
  /** Value type number (spec 01 §4.5); of the inner value when it was encrypted. */
  readonly type: number
  /** At most 65,536 bytes. */
  readonly data: Uint8Array
  /** Free text; empty for none. */
  readonly userType: string
  /** SPKI DER of the key that signed it; undefined when unsigned. */
  readonly signer: Uint8Array | undefined
  /** True when it was encrypted for the key passed as `decryptWith`. */
  readonly encrypted: boolean
  /** Counts the versions of a signed value; 0 of others. */
  readonly seq: number
}

/** A value to put; signed and encrypted on the way. */
export interface DhtPut {
  /** At most 65,536 bytes. */
  readonly data: Uint8Array
  /** Default 0 (user data). */
  readonly type?: number
  /** Default random; 0 is replaced by a random id. */
  readonly id?: bigint
  /** Free text; empty for none. */
  readonly userType?: string
  /** Signs with this key; owner = its public key. */
  readonly sign?: PrivateKey
  /** Of a signed value, 0 (default) to 65,535: the same owner replaces a value under its `id` with a higher number. */
  readonly seq?: number
  /** SPKI DER of the receiver; needs `sign`. */
  readonly encryptTo?: Uint8Array
  /** Outside the signature (spec 01 §4.1 `p`). */
  readonly priority?: number
  /** Push type, outside signature and encryption (spec 01 §4.1 `pt`). */
  readonly pushType?: string
}

/** A value somebody signed before (the announcement of a receipt), put as it is: packed value bytes (spec 01 §4.1). */
export interface DhtPackedPut {
  /** The bytes, kept as they are. */
  readonly packed: Uint8Array
}

/** What became of a put. */
export interface DhtPutResult {
  /** Under which it was put. */
  readonly id: bigint
  /** Nodes that confirmed the first announcement. */
  readonly storedBy: number
  /** Ends a permanent put; idempotent. */
  cancel(): void
}

/** A value came or went. */
export interface DhtListenEvent {
  /** As it was told when it came. */
  readonly value: DhtValue
  /** True when the value expired or was taken back. */
  readonly expired: boolean
}

/** An OpenDHT node: values under 160-bit keys, signed and encrypted where asked. */
export interface Dht extends Service {
  /** Node id for each family is the same here. */
  readonly nodeId: InfoHash
  /** For each address family. */
  status(): { ipv4: DhtStatus; ipv6: DhtStatus }
  /** A family changed. */
  readonly onStatus: Listen<{ ipv4: DhtStatus; ipv6: DhtStatus }>
  /** Known good nodes. */
  nodeCount(): { ipv4: number; ipv6: number }
  /**
   * Adds entry points (`host`, `host:port`, `[v6]:port`; port 4222 when left out) and tries all there are at once, connected or not; those
   * that do not resolve or answer are retried. Rejects with ERR_ARGUMENT, naming the entry.
   */
  bootstrap(...hosts: string[]): Promise<void>
  /** Ends after the search is complete; values repeat never, and neither does what was signed or encrypted once and is there under several ids. @throws ERR_ARGUMENT at the call */
  get(key: InfoHash, options?: { decryptWith?: PrivateKey; type?: number; id?: bigint; userType?: string } & Op): AsyncIterable<DhtValue>
  /**
   * Existing and new values until the signal fires (then the iteration ends without error). A value already reported repeats only when its
   * content changes or after it expired. Anybody can put again what somebody signed or encrypted, under another id and as often: the same
   * ciphertext is told once (whoever encrypts the same content anew means it anew), the same signed value in clear at most once a minute
   * (a device that starts anew says the same again), and each that was told is told as expired when the last of the ids it stands for is
   * gone. Of more values than are kept (4,096) the
   * oldest unsigned ones are told as expired first. @throws ERR_ARGUMENT at the call
   */
  listen(key: InfoHash, options: { decryptWith?: PrivateKey; type?: number; userType?: string; signal: AbortSignal }): AsyncIterable<DhtListenEvent>
  /**
   * Resolves when the first announcement is confirmed. Permanent puts are refreshed until cancelled or the DHT stops; where the DHT has a
   * storage they go on after a restart for an hour, for programs to put them again (under the same `id`: else there are two for that hour).
   * @throws ERR_DHT_UNREACHABLE when no node took it, ERR_ARGUMENT
   */
  put(key: InfoHash, value: DhtPut | DhtPackedPut, options?: { permanent?: boolean } & Op): Promise<DhtPutResult>
  /** Addresses changed: probe again, search again. */
  connectivityChanged(): void
}
