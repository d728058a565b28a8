// The public surface: events, and who and what is at the other end of links. Types only; implementations are beside this file.
import type { Duplex } from 'node:stream'
import type { ChannelPath } from '../contracts/channel.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'

/** An account id, a `jami:` URI, or a contact. */
export type PeerLike = AccountUri | Contact | string

/**
 * Typed events. What a listener throws or rejects with becomes the node's `error` event, never an uncaught exception. Names of events
 * that there are not are refused.
 */
export interface Emitter<M> {
  /** Registers a listener; the result takes it away, so does the signal. */
  on<K extends keyof M>(event: K, listener: (payload: M[K]) => unknown, options?: { signal?: AbortSignal }): () => void
  /**
   * The next event (that passes `filter`). A promise that nobody waits for any more is no uncaught rejection.
   * @throws ERR_ABORTED, ERR_TIMEOUT, ERR_CLOSED
   * @example const answer = await account.once('message', { timeoutMs: 60_000, filter: ({ from }) => from === contact.uri })
   */
  once<K extends keyof M>(event: K, options?: Op & { filter?: (payload: M[K]) => boolean }): Promise<M[K]>
  /**
   * All events from now on. @throws ERR_LIMIT from the iterator when more than `bufferSize` (1,000) wait unread. The events of an
   * account's timeline (`message`, `message:edited`, `message:deleted`, `reaction`, `member`) are different: they begin with what is not
   * handled, wait in storage without a limit, and are handled when the loop asks for the next one.
   * @example for await (const { contact, action } of account.events('contact')) console.log(contact.uri, action)
   */
  events<K extends keyof M>(event: K, options?: { signal?: AbortSignal; bufferSize?: number }): AsyncIterableIterator<M[K]>
}

/** Another account, as this one sees it at the time of the call. */
export interface Contact {
  /** Its id, which cannot be forged. */
  readonly uri: AccountUri
  /** What it calls itself; undefined when we were never told. Anybody can take any name. */
  readonly displayName: string | undefined
  /** The other side has accepted (or added us). */
  readonly confirmed: boolean
  /** Gets no link and is not heard. */
  readonly banned: boolean
}

/** The other end of links and channels. */
export interface Peer {
  /** The account. */
  readonly uri: AccountUri
  /** Devices announced now. */
  devices(op?: Op): Promise<DeviceId[]>
  /**
   * A byte channel of an SDK protocol to one of the peer's devices (the first that takes it).
   * @throws ERR_PEER_OFFLINE, ERR_PEER_REFUSED, ERR_CHANNEL_DECLINED (a stock client declines SDK protocols), ERR_TIMEOUT
   * @example const channel = await node.connect(contact).openChannel('echo/1', { timeoutMs: 30_000 })
   */
  openChannel(protocol: string, options?: { device?: string } & Op): Promise<Channel>
  /** Closes all links with the peer. */
  close(op?: Op): Promise<void>
}

/** A Node stream over a channel. There is no half-close on this wire: `end()` ends both directions. */
export interface Channel extends Duplex {
  /** The name it was opened with. */
  readonly protocol: string
  /** The verified device at the other end. */
  readonly remote: { readonly uri: AccountUri; readonly device: DeviceId }
  /** How the link goes, and where to. */
  readonly path: ChannelPath
  /** The same channel as Web Streams; use either face, not both. */
  web(): { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }
}

/** Protocols of your own over the authenticated links of the network. */
export interface Channels {
  /**
   * Serves an SDK protocol: `fn` gets each channel. Name: 1 to 100 of `[A-Za-z0-9._/-]`.
   * `allow` (default `contacts`) decides per peer; strangers get no link at all, whatever it says. The result ends it.
   * @throws ERR_ARGUMENT, also when the protocol has a handler
   * @example account.channels.handle('echo/1', (channel) => channel.pipe(channel), { maxPerPeer: 2 })
   */
  handle(
    protocol: string,
    fn: (channel: Channel) => unknown,
    options?: {
      allow?: 'contacts' | 'own-devices' | ((peer: { uri: AccountUri; device: DeviceId }) => boolean | Promise<boolean>)
      /** Open channels of this protocol per device, default 16. */
      maxPerPeer?: number
    },
  ): () => void
}
