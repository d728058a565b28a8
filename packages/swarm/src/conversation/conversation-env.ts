// What a conversation needs of its account, and what a change of it brings. Types only. docs/protocol/04 §3, §5.5.
import type { JamiError } from '@jamikit/core/base'
import type { AccountUri, BaseEnv, DeviceIdentity, FileTree, Storage } from '@jamikit/core/contracts'
import type { Oid } from '../repo/object.ts'
import type { ObjectCache } from '../repo/object-cache.ts'
import type { CommitInfo } from '../repo/types.ts'

export interface ConversationEnv extends Pick<BaseEnv, 'clock' | 'random' | 'crypto' | 'logger'> {
  readonly identity: DeviceIdentity
  readonly displayName: () => string
  readonly storage: Storage
  readonly files: FileTree
  /** Prefix of this conversation's records. */
  readonly prefix: string
  /** Objects of all conversations that were read lately. */
  readonly cache: ObjectCache
  /** Bytes of its objects up to which others' are taken. */
  readonly maxBytes: number
  /** What is wrong with what is kept. */
  readonly onProblem: (error: JamiError) => void
}

export interface Change {
  /** New on main, parents first. */
  readonly commits: readonly CommitInfo[]
  readonly head: Oid
  /** Accounts that are banned since. */
  readonly banned: readonly AccountUri[]
  /** Its card is another one since. */
  readonly profile: boolean
}
