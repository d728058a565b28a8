// The public surface: files on their way. Types only; what a file in a conversation is stands in api.ts. Implementations:
// public-transfer.ts, public-files.ts.
import type { JamiError } from '../base/errors.ts'
import type { AccountUri, ConversationId, MessageId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'

/** What can be sent: a path (or a `file:` URL), bytes, a Blob, or a stream of bytes, which is read once and never held in memory. */
export type FileSource = string | URL | Uint8Array | Blob | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>

/** How far a transfer is. */
export interface Progress {
  /** Here; never becomes less. */
  readonly doneBytes: number
  /** Undefined while a stream of unknown length is read. */
  readonly totalBytes: number | undefined
  /** Of the last seconds. */
  readonly bytesPerSec: number
}

/**
 * A file on its way. Wait for it (`await` gives the message), or loop over its progress, or both; whoever does neither is told by the
 * account's event `transfer`.
 * @example for await (const { doneBytes, totalBytes } of chat.sendFile('film.mkv')) console.log(doneBytes, totalBytes)
 */
export interface Transfer<M> extends PromiseLike<M>, AsyncIterable<Progress> {
  /** `send` brings a file into the conversation; others fetch it from there. `receive` fetches one. */
  readonly direction: 'send' | 'receive'
  /** Where a download to a path lies, once it is done: inside of a directory that was given, under a name of ours. */
  readonly path: string | undefined
  /**
   * The bytes from the first one on, while they come; it does not hold up the transfer. It ends when all are checked, and fails when they
   * are not what was announced: nothing before that is certain.
   */
  readonly readable: ReadableStream<Uint8Array>
  /** As of now. */
  progress(): Progress
  /** Lets go of the other side; what is here stays, also over a restart. */
  pause(): void
  /** Goes on after `pause()`. */
  resume(): void
  /** Ends it with ERR_ABORTED, and removes what came. Nothing happens when it is over. */
  cancel(): Promise<void>
}

/** How a file is sent. */
export interface SendFileOptions extends Op {
  /** What others see; default: the name of the path or of the File, else `file`. 1 to 255 characters; directories and what is no name are left out. */
  name?: string
  /** Number of bytes, when it is known: another one is ERR_ARGUMENT. */
  sizeBytes?: number
  /** Id of a message. */
  replyTo?: string
  /** The same key again, also after a restart, sends nothing and gives the first message. 1 to 200 characters. */
  idempotencyKey?: string
  /** `copy` (default): the profile keeps one, and gives it to others. `reference`: the file stays where it is, and is given from there while it does not change. */
  keep?: 'copy' | 'reference'
}

/** How a file is fetched. */
export interface DownloadOptions extends Op {
  /** Whether the profile keeps a copy, which others can have, when the file is brought somewhere else; default true. */
  keep?: boolean
}

/** Which files come. What is left out is as at the start of the program: everything that is asked for, nothing by itself. */
export interface FilePolicy {
  /** Files of others up to this size are fetched by themselves when they are announced, in bytes; 0: none. */
  autoBytes?: number
  /** Larger ones are refused with ERR_LIMIT, in bytes. */
  maxBytes?: number
  /** Whether a file may be fetched, by itself or when asked for: false refuses it with ERR_PEER_REFUSED. */
  accept?: (file: { conversation: ConversationId; from: AccountUri; name: string; sizeBytes: number }) => boolean
}

/** The files of an account that are on their way. */
export interface Files<M> {
  /** Those that are not over. */
  active(): Transfer<M>[]
  /** Holds until it is set again, for this run of the program. @example account.files.setPolicy({ autoBytes: 1 << 20, maxBytes: 1 << 30 }) */
  setPolicy(policy: FilePolicy): void
}

/** A transfer began, went on, or is over. */
export interface TransferNews<M> extends Progress {
  /** The same one that the call gave. */
  readonly transfer: Transfer<M>
  /** Where. */
  readonly conversation: ConversationId
  /** The announcement; undefined while a file is sent and not announced yet. */
  readonly messageId: MessageId | undefined
  /** Ours on its way in, or theirs on its way here. */
  readonly direction: 'send' | 'receive'
  /** Begun or going on; over. */
  readonly state: 'active' | 'done' | 'failed'
  /** Why it failed. */
  readonly error: JamiError | undefined
}
