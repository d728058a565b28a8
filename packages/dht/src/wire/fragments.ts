// Putting values together from fragments: in any order, before or after their header, bounded in bytes, packets and time.
// A pure machine: time comes in, complete messages come out. docs/protocol/01 §2.9. Proof: wire/message.test.ts.
import { JamiError } from '@jamikit/core/base'
import type { SocketAddress } from '@jamikit/core/contracts'
import { addressKey, networkKey, sourceKey } from './address.ts'
import type { FragmentMessage, ReplyMessage, RequestMessage } from './message.ts'
import { decodeValue, MAX_PACKED_BYTES, type Value } from './value.ts'

const EARLY_BYTES = 122_912
const EARLY_PARTS = 98
const LIFE_MS = 10_000
const IDLE_MS = 3_000
/** Sessions at once, of one sender, and of one network; answers to our own requests have as many again for themselves. */
export const MAX_SESSIONS = 1024
export const MAX_SESSIONS_PER_SOURCE = 64
export const MAX_SESSIONS_PER_NETWORK = 256
/** How often sessions are searched for those that are over, ms. */
const LOOK_MS = 500
/** Bytes announced by one header. */
const MAX_MESSAGE_BYTES = 4 << 20
/** Pieces of one value; the largest has 52. */
export const MAX_PIECES = 256
/** Bytes that all sessions of requests hold; answers to our own requests have as many again. */
export const MAX_HELD_BYTES = 64 << 20

type Whole = RequestMessage | ReplyMessage

interface Slot {
  readonly size: number
  /** Filled by pieces; allocated as they arrive. */
  pieces: Map<number, Uint8Array>
  got: number
}

interface Session {
  readonly sources: readonly string[]
  readonly asked: boolean
  readonly startedMs: number
  lastMs: number
  header: Whole | undefined
  slots: Map<number, Slot>
  early: { index: number; offset: number; bytes: Uint8Array }[]
  earlyBytes: number
  /** Counted in the sum of all sessions. */
  held: number
}

export class FragmentAssembler {
  readonly #sessions = new Map<string, Session>() // bounded by MAX_SESSIONS, twice
  readonly #counts = new Map<string, number>() // sessions by source, network and kind; bounded by the sessions
  readonly #heldBy = { asked: 0, others: 0 }
  #lookMs = Number.NEGATIVE_INFINITY
  #dueMs = 0

  get size(): number {
    return this.#sessions.size
  }

  /** Bytes held; bounded by MAX_HELD_BYTES, twice. */
  get heldBytes(): number {
    return this.#heldBy.asked + this.#heldBy.others
  }

  /** When something of what is held may have taken too long: `expire` is due. */
  get nextMs(): number {
    return this.#sessions.size === 0 ? Number.POSITIVE_INFINITY : this.#dueMs
  }

  /** True when a fragment from there belongs to something that has begun. */
  expects(tid: number, from: SocketAddress): boolean {
    return this.#sessions.has(key(tid, from))
  }

  #close(k: string): void {
    const session = this.#sessions.get(k)
    if (!session) return
    this.#sessions.delete(k)
    this.#heldBy[session.asked ? 'asked' : 'others'] -= session.held
    for (const source of session.sources) {
      const left = (this.#counts.get(source) ?? 1) - 1
      if (left > 0) this.#counts.set(source, left)
      else this.#counts.delete(source)
    }
  }

  #keep(session: Session, bytes: number): boolean {
    const kind = session.asked ? 'asked' : 'others'
    if (this.#heldBy[kind] + bytes > MAX_HELD_BYTES) return false
    session.held += bytes
    this.#heldBy[kind] += bytes
    return true
  }

  /** A header that announces sizes. Gives the message when its fragments came before. @param asked it answers a request of ours */
  header(message: Whole, from: SocketAddress, now: number, asked = false): Whole | undefined {
    const sizes = message.args.sizes ?? []
    if (sizes.reduce((a, b) => a + b, 0) > MAX_MESSAGE_BYTES) return undefined
    const session = this.#open(message.tid, from, now, asked)
    if (!session) return undefined
    session.header = message
    session.slots = new Map()
    for (const [index, size] of sizes.entries()) if (size > 0 && size <= MAX_PACKED_BYTES) session.slots.set(index, { size, pieces: new Map(), got: 0 })
    const { early } = session
    session.early = []
    session.earlyBytes = 0
    this.#heldBy[session.asked ? 'asked' : 'others'] -= session.held // what came for a former header is forgotten
    session.held = 0
    for (const part of early) this.#put(session, part)
    return this.#complete(message.tid, from, session)
  }

  /** A fragment; gives the message that it completes. */
  fragment(message: FragmentMessage, from: SocketAddress, now: number, asked = false): Whole | undefined {
    const session = this.#open(message.tid, from, now, asked)
    if (!session) return undefined
    session.lastMs = now
    for (const part of message.parts) {
      if (session.header) this.#put(session, part)
      else {
        session.earlyBytes += part.bytes.length
        session.early.push(part)
        if (session.earlyBytes > EARLY_BYTES || session.early.length > EARLY_PARTS || !this.#keep(session, part.bytes.length)) {
          this.#close(key(message.tid, from))
          return undefined
        }
      }
    }
    return session.header ? this.#complete(message.tid, from, session) : undefined
  }

  /** Drops what took too long. */
  expire(now: number): void {
    this.#lookMs = now + LOOK_MS
    this.#dueMs = now + IDLE_MS + 1
    for (const [k, s] of this.#sessions) if (now - s.startedMs > LIFE_MS || now - s.lastMs > IDLE_MS) this.#close(k)
  }

  #open(tid: number, from: SocketAddress, now: number, asked: boolean): Session | undefined {
    const k = key(tid, from)
    const known = this.#sessions.get(k)
    if (known) return known
    if (now >= this.#lookMs) this.expire(now)
    const kind = asked ? 'asked' : 'others'
    const bounds = [[`${kind}|`, MAX_SESSIONS], [`${kind}|${sourceKey(from)}`, MAX_SESSIONS_PER_SOURCE], [`${kind}|n${networkKey(from)}`, MAX_SESSIONS_PER_NETWORK]] as const
    if (bounds.some(([source, most]) => (this.#counts.get(source) ?? 0) >= most)) return undefined
    for (const [source] of bounds) this.#counts.set(source, (this.#counts.get(source) ?? 0) + 1)
    const session: Session = { sources: bounds.map(([source]) => source), asked, startedMs: now, lastMs: now, header: undefined, slots: new Map(), early: [], earlyBytes: 0, held: 0 }
    if (this.#sessions.size === 0) this.#dueMs = now + IDLE_MS + 1
    this.#sessions.set(k, session)
    return session
  }

  #complete(tid: number, from: SocketAddress, session: Session): Whole | undefined {
    const { header } = session
    if (!header) return undefined
    for (const slot of session.slots.values()) if (slot.got < slot.size) return undefined
    this.#close(key(tid, from))
    const values: Value[] = [...(header.args.values ?? [])]
    for (const slot of session.slots.values()) {
      try {
        values.push(decodeValue(join(slot)))
      } catch (error) {
        if (!(error instanceof JamiError)) throw error // else: a value that cannot be read costs itself
      }
    }
    const { sizes: _, ...args } = header.args
    return { ...header, args: { ...args, values } }
  }

  #put(session: Session, part: { index: number; offset: number; bytes: Uint8Array }): void {
    const slot = session.slots.get(part.index)
    const end = part.offset + part.bytes.length
    if (!slot || part.bytes.length === 0 || end > slot.size || slot.pieces.size >= MAX_PIECES) return
    for (const [at, piece] of slot.pieces) if (part.offset < at + piece.length && at < end) return // overlap or repetition
    if (!this.#keep(session, part.bytes.length)) return
    slot.pieces.set(part.offset, part.bytes)
    slot.got += part.bytes.length
  }
}

function key(tid: number, from: SocketAddress): string {
  return `${tid}|${addressKey(from)}`
}

function join(slot: Slot): Uint8Array {
  const out = new Uint8Array(slot.got)
  for (const [at, piece] of slot.pieces) out.set(piece, at)
  return out
}
