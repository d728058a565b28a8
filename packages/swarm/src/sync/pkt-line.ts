// Git's packet lines: four hex digits of length, payload, `0000` as flush. Pure. docs/protocol/04 §4.3.
// Proof: sync/pkt-line.test.ts (every split point, byte by byte, refusal table, fuzz).
import { codecError, limitError } from '@jamikit/core/base'
import { concatBytes, fromUtf8, utf8 } from '@jamikit/core/codec'
import { MAX_PKT } from '../defaults.ts'

export const FLUSH: Uint8Array = utf8('0000')
const LENGTH_BYTES = 4
/** What is kept while nothing is unread. */
const SMALL_BYTES = 4096

export function pkt(payload: Uint8Array | string): Uint8Array {
  const bytes = typeof payload === 'string' ? utf8(payload) : payload
  if (bytes.length + LENGTH_BYTES > MAX_PKT) throw limitError('pkt length', bytes.length + LENGTH_BYTES, MAX_PKT)
  return concatBytes(lengthField(bytes.length), bytes)
}

/** The four digits before a payload of so many bytes. */
export function lengthField(payload: number): Uint8Array {
  return utf8((payload + LENGTH_BYTES).toString(16).padStart(LENGTH_BYTES, '0'))
}

export type Pkt = 'flush' | Uint8Array

/** Packets out of a byte stream, one at a time: the work is linear in the bytes however they are cut. @throws ERR_CODEC, ERR_LIMIT */
export class PktDecoder {
  #bytes = new Uint8Array(SMALL_BYTES) // bounded by one incomplete packet and what was pushed before `next` gave undefined
  #start = 0
  #end = 0

  push(chunk: Uint8Array): void {
    const unread = this.#end - this.#start
    if (this.#end + chunk.length > this.#bytes.length) {
      const needed = unread + chunk.length
      const room = needed * 2 > this.#bytes.length ? new Uint8Array(needed * 2) : this.#bytes
      room.set(this.#bytes.subarray(this.#start, this.#end))
      this.#bytes = room
      this.#start = 0
      this.#end = unread
    }
    this.#bytes.set(chunk, this.#end)
    this.#end += chunk.length
  }

  /** The next packet, a copy of its own; undefined when more bytes are needed. */
  next(): Pkt | undefined {
    const unread = this.#end - this.#start
    if (unread < LENGTH_BYTES) return undefined
    const length = this.#length()
    if (unread < length) return undefined
    const from = this.#start + LENGTH_BYTES
    this.#start += Math.max(length, LENGTH_BYTES)
    const item = length === 0 ? 'flush' : this.#bytes.slice(from, this.#start)
    if (this.#start === this.#end) {
      this.#start = this.#end = 0
      if (this.#bytes.length > SMALL_BYTES) this.#bytes = new Uint8Array(SMALL_BYTES)
    }
    return item
  }

  #length(): number {
    let length = 0
    for (let i = 0; i < LENGTH_BYTES; i++) {
      const digit = hexDigit(this.#bytes[this.#start + i] as number)
      if (digit < 0) throw codecError('pkt length', JSON.stringify(String.fromCharCode(...this.#bytes.subarray(this.#start, this.#start + LENGTH_BYTES))), 'four hex digits')
      length = length * 16 + digit
    }
    if (length > 0 && length < LENGTH_BYTES) throw codecError('pkt length', length, '0 or at least 4')
    if (length > MAX_PKT) throw limitError('pkt length', length, MAX_PKT)
    return length
  }
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const letter = code | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

/** A packet as text without its line end. @throws ERR_CODEC */
export function pktText(p: Uint8Array): string {
  return fromUtf8(p, 'pkt').replace(/\n$/, '')
}
