// What the rooms of swarm ask of each other about objects, packs and history. Types only. docs/protocol/04 §1, §4.4, §4.10.
// Real: repo/repository.ts (History), sync/received-pack.ts (ReceivedPack).
import type { AccountUri, DeviceId, MessageId } from '@jamikit/core/contracts'
import type { Commit } from './commit.ts'
import type { GitObject, ObjectType, Oid } from './object.ts'

/** Where objects are read from, by id. */
export interface ObjectReader {
  /** @throws ERR_STORAGE_CORRUPT when it is ours and damaged, ERR_REPO_INVALID or ERR_LIMIT when it is a peer's */
  read(oid: Oid): Promise<GitObject | undefined>
  /** Type and inflated bytes, without inflating: what budgets are checked with. */
  stat(oid: Oid): Promise<{ type: ObjectType; size: number } | undefined>
}

/** One object as it lies in a pack: header fields and the zlib stream, so that copying it costs no compression. */
export interface PackedObject {
  readonly type: ObjectType
  /** Inflated bytes. */
  readonly size: number
  readonly deflated: Uint8Array
}

/** A pack of a peer: complete, indexed and within bounds, but nothing of it is trusted. Spooled in memory while small, else in a scratch file. */
export interface ReceivedPack extends ObjectReader {
  /** Objects in it. */
  readonly count: number
  /** Bytes of the pack file, header and trailer included. */
  readonly bytes: number
  /** Inflated bytes of all its objects. */
  readonly inflatedBytes: number
  /** Where the whole pack file lies in the conversation's file tree; undefined while it is in memory. */
  readonly path: string | undefined
  /** SHA-1 trailer in hex: the name of the pack. */
  readonly name: string
  /** In pack order. `crc` is CRC-32 of the entry as it lies in the pack (for `.idx`). */
  entries(): Iterable<{ oid: Oid; type: ObjectType; size: number; offset: number; crc: number }>
  has(oid: Oid): boolean
  /** The entry ready to be copied; deltas come resolved and deflated again. */
  packed(oid: Oid): Promise<PackedObject | undefined>
  /** Takes the scratch file away; nothing happens when it was adopted (renamed). Idempotent. */
  discard(): Promise<void>
}

/** What the graph knows of a commit without reading it. Rows count up in the order in which commits came to this device, parents first. */
export interface CommitInfo {
  readonly oid: MessageId
  readonly row: number
  readonly tree: Oid
  /** Rows of the parents. */
  readonly parents: readonly number[]
  /** Longest way to the first commit, which has 0. */
  readonly generation: number
  /** Committer time, Unix seconds. */
  readonly timeS: number
  readonly author: AccountUri
  readonly device: DeviceId
  /** Place in the linear order of main, oldest = 0; -1 while known but not on main. Changes with merges. */
  readonly position: number
}

/** A validated commit on its way into a history. */
export interface NewCommit {
  readonly oid: Oid
  readonly tree: Oid
  readonly parents: readonly Oid[]
  readonly timeS: number
  readonly author: AccountUri
  readonly device: DeviceId
}

export interface Advance {
  /** Parents first; all validated. */
  readonly commits: readonly NewCommit[]
  /** Objects to keep, commits included. */
  readonly objects?: Iterable<GitObject>
  /** Or a received pack of which exactly these objects are kept: the file is adopted whole when nothing else is in it. */
  readonly pack?: { readonly received: ReceivedPack; readonly used: ReadonlySet<Oid> }
  /** The new main; undefined when main stays and the commits wait for a merge. */
  readonly head: Oid | undefined
}

/**
 * One conversation's history: objects, commit graph, linear order, main. Everything below `head` is validated. Synchronous where it
 * answers from the graph. No method but opening and exporting costs more than what is new, what is asked for, or the tangle of
 * diverged commits around it.
 */
export interface History extends ObjectReader {
  readonly head: MessageId
  /** Commits on main. */
  readonly length: number
  /** Rows, also those that wait for a merge. */
  readonly rows: number
  has(oid: Oid): boolean
  info(oid: Oid): CommitInfo | undefined
  /** @throws ERR_INTERNAL outside 0 … rows - 1 */
  row(row: number): CommitInfo
  /** The commit at a place of the linear order. @throws ERR_INTERNAL outside 0 … length - 1 */
  at(position: number): CommitInfo
  /** The commit itself. @throws ERR_STORAGE_CORRUPT */
  commit(oid: Oid): Promise<Commit | undefined>
  /** The same commit is its own ancestor. Rows of `of` and `ancestor` are known. */
  isAncestor(ancestor: Oid, of: Oid): boolean
  /** Best common ancestors. */
  mergeBases(a: Oid, b: Oid): Oid[]
  /** Commits that `wants` reach and `haves` do not (unknown haves are ignored), children first. Stops with ERR_LIMIT above `limit`. */
  missing(wants: readonly Oid[], haves: readonly Oid[], limit?: number): Iterable<CommitInfo>
  /** An object ready to be copied into a pack. */
  packed(oid: Oid): Promise<PackedObject | undefined>
  /**
   * Keeps commits and objects, then moves main: all durable in one step when it resolves, nothing of it known when it rejects.
   * @returns the commits that are new on main, parents first, and the lowest position whose commit is another one than before
   */
  advance(change: Advance): Promise<{ onMain: readonly CommitInfo[]; changedFrom: number }>
}
