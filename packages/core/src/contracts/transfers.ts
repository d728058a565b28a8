// Files of conversations, as the public surface uses them. Types only. Real: @jamikit/media transfer/. Double:
// core/testing/fake-transfers.ts. Suite: testing/suites/transfers.ts. Source: docs/protocol/04-swarm.md §7.
import type { AccountUri, ConversationId, MessageId } from './ids.ts'
import type { Listen, Service } from './service.ts'

/** How far a transfer is. `doneBytes` never becomes less. */
export interface TransferProgress {
  /** Here and on disk. */
  readonly doneBytes: number
  /** Undefined while a stream of unknown length is read. */
  readonly totalBytes: number | undefined
  /** Of the last seconds. */
  readonly bytesPerSec: number
}

/** A file on its way, in one direction. */
export interface FileTransfer {
  /** `send` brings a file of ours into a conversation, `receive` gets one that was announced there. */
  readonly direction: 'send' | 'receive'
  /** Where it is announced. */
  readonly conversation: ConversationId
  /** The announcement; undefined while a file is sent and not announced yet. */
  readonly message: MessageId | undefined
  /** Where the program gets the file; undefined when it is only kept in the profile. */
  readonly path: string | undefined
  /** Settles when it is over: announced, or complete and checked. @throws ERR_FILE_HASH, ERR_FILE_GONE, ERR_ABORTED, ERR_LIMIT, ERR_STORAGE_IO, ERR_NOT_MEMBER, ERR_CLOSED */
  readonly done: Promise<MessageId>
  /** As of the call. */
  progress(): TransferProgress
  /** At most 20 a second; the last one has all bytes. */
  readonly onProgress: Listen<TransferProgress>
  /** The bytes from the first one on, as they come; a transfer does not wait for its readers. The last ones come when all are checked. */
  read(): AsyncIterable<Uint8Array>
  /** Lets go of the other side; what is here stays. */
  pause(): void
  /** Goes on after `pause`. */
  resume(): void
  /**
   * Ends it and removes what came. Resolves when nothing of it is left; nothing happens when it is over. With `keep` only this caller
   * leaves: what came stays for the next one, and whoever else asked for it goes on.
   */
  cancel(options?: { keep?: boolean }): Promise<void>
}

/** What a program sends. */
export interface OutgoingFile {
  /** A path of this program, or the bytes in order. */
  readonly source: string | AsyncIterable<Uint8Array>
  /** What others see; 1 to 255 characters. */
  readonly name: string
  /** Checked when it is given: ERR_ARGUMENT when the source has another size. */
  readonly sizeBytes?: number
  /** The message it answers. */
  readonly replyTo?: MessageId
  /** The same key again gives the first announcement. */
  readonly key?: string
  /** `reference`: the file stays where it is and is served from there while it does not change. Paths only. */
  readonly keep?: 'copy' | 'reference'
}

/** What comes without being asked for, and what never comes. */
export interface TransferPolicy {
  /** Files of others up to this size are fetched when they are announced; 0: none. */
  readonly autoBytes: number
  /** A larger one is refused with ERR_LIMIT. */
  readonly maxBytes: number
  /** Whether a file is fetched, also when the program asks for it; `name` is what its sender calls it. */
  readonly accept?: (file: { readonly conversation: ConversationId; readonly from: AccountUri; readonly name: string; readonly sizeBytes: number }) => boolean
}

/** The files of one account's conversations. */
export interface Transfers extends Service {
  /** Keeps the bytes, then announces them. */
  send(conversation: ConversationId, file: OutgoingFile): FileTransfer
  /**
   * Gets an announced file from any device that has it, and goes on where it stopped, also after a restart. One that is under way is joined.
   * `to`: a file of the program, written beside it first, or a directory, where it gets a name of ours. `keep: false` keeps no copy in the profile.
   */
  receive(conversation: ConversationId, message: MessageId, options?: { to?: string; keep?: boolean }): FileTransfer
  /** Those that are not over. */
  active(): FileTransfer[]
  /** Holds until it is set again, for this run of the program. */
  setPolicy(policy: TransferPolicy): void
  /** A transfer began: asked for, by itself, or again after a restart. */
  readonly onTransfer: Listen<FileTransfer>
}
