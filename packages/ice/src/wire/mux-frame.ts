// Messages of the multiplexer and what travels on its two reserved channels. Pure.
// docs/protocol/02 §4.1. Proof: wire/mux-frame.test.ts (vectors, every split point, refusal table, fuzz).
import { asInt, asString, encodeMsgpack, MsgpackStream, type MsgpackValue, readMsgpack, utf8 } from '@jamikit/core/codec'

export const CONTROL = 0
export const PROTOCOL = 0xffff
export const MAX_PAYLOAD = 65_535
export const STATE = { request: 0, accept: 1, decline: 2 } as const

export interface MuxMessage {
  readonly channel: number
  readonly data: Uint8Array
}

export type ControlObject =
  | { readonly kind: 'channel'; readonly name: string; readonly channel: number; readonly state: number }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'beacon'; readonly ping: boolean }

/** One message, in one buffer. @param data at most 65,535 bytes; empty = end of channel */
export function encodeMessage(channel: number, data: Uint8Array): Uint8Array {
  const idLength = channel < 0x80 ? 1 : channel < 0x100 ? 2 : 3
  const dataHeader = data.length < 0x100 ? 2 : 3
  const out = new Uint8Array(1 + idLength + dataHeader + data.length)
  let at = 0
  out[at++] = 0x92
  if (idLength === 2) out[at++] = 0xcc
  if (idLength === 3) {
    out[at++] = 0xcd
    out[at++] = channel >> 8
  }
  out[at++] = channel & 0xff
  out[at++] = dataHeader === 2 ? 0xc4 : 0xc5
  if (dataHeader === 3) out[at++] = data.length >> 8
  out[at++] = data.length & 0xff
  out.set(data, at)
  return out
}

export function encodeChannelRequest(name: string, channel: number, state: number): Uint8Array {
  return encodeMessage(CONTROL, encodeMsgpack([name, channel, state]))
}

export function encodeVersion(version: number): Uint8Array {
  return encodeMessage(PROTOCOL, encodeMsgpack({ v: version }))
}

export function encodeBeacon(ping: boolean): Uint8Array {
  return encodeMessage(PROTOCOL, encodeMsgpack({ p: ping }))
}

/** Objects of a reserved channel; unknown ones and, after the first unreadable one, the rest are left out. */
export function decodeControl(payload: Uint8Array): ControlObject[] {
  const out: ControlObject[] = []
  for (let at = 0; at < payload.length; ) {
    try {
      const read = readMsgpack(payload, at, { maxDepth: 4, maxItems: 64, maxBytes: MAX_PAYLOAD })
      if (!read) break
      at = read.end
      const object = controlObject(read.value)
      if (object) out.push(object)
    } catch {
      break
    }
  }
  return out
}

function controlObject(v: MsgpackValue): ControlObject | undefined {
  if (Array.isArray(v)) return { kind: 'channel', name: asString(v[0], 'channel name'), channel: asInt(v[1], 'channel', 0, 0xffff), state: asInt(v[2] ?? 0, 'state', 0, 255) }
  if (!(v instanceof Map)) return undefined
  const version = v.get('v')
  if (typeof version === 'number') return { kind: 'version', version }
  const ping = v.get('p')
  return typeof ping === 'boolean' ? { kind: 'beacon', ping } : undefined
}

/** What one object of the stream was: a message, or something valid of another shape. */
export type MuxItem = MuxMessage | 'strange'

/** A payload of which only a part has come. */
interface Body {
  readonly channel: number
  readonly length: number
  filled: number
  /** Grows with what comes, never with what is declared. */
  data: Uint8Array
}

/**
 * Messages out of a byte stream, payloads as copies. Holds at most one incomplete message; however the stream is cut, every byte is
 * copied a bounded number of times. @throws ERR_CODEC, ERR_LIMIT: the link cannot be read further
 */
export class MuxDecoder {
  #rest: Uint8Array = new Uint8Array(0) // an incomplete head; 7 bytes at most
  #body: Body | undefined // bounded by MAX_PAYLOAD
  #unusual: MsgpackStream | undefined // an incomplete object of another form; bounded by MAX_OBJECT

  push(chunk: Uint8Array): MuxItem[] {
    const out: MuxItem[] = []
    if (this.#unusual) {
      this.#general(this.#unusual, chunk, out)
      return out
    }
    let bytes = chunk
    let at = 0
    if (this.#body) {
      at = fill(this.#body, chunk)
      if (this.#body.filled < this.#body.length) return out
      out.push({ channel: this.#body.channel, data: this.#body.data })
      this.#body = undefined
    } else if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length)
      bytes.set(this.#rest)
      bytes.set(chunk, this.#rest.length)
    }
    while (at < bytes.length) {
      const head = readHead(bytes, at)
      if (head === 'incomplete') break
      if (head === 'unusual') {
        this.#rest = new Uint8Array(0)
        this.#general(new MsgpackStream(MAX_OBJECT, { maxDepth: 8, maxItems: 1024, maxBytes: MAX_PAYLOAD }), bytes.subarray(at), out)
        return out
      }
      if (bytes.length - head.start >= head.length) {
        out.push({ channel: head.channel, data: copy(bytes, head.start, head.start + head.length) })
        at = head.start + head.length
      } else {
        this.#body = { channel: head.channel, length: head.length, filled: 0, data: new Uint8Array(0) }
        fill(this.#body, bytes.subarray(head.start))
        at = bytes.length
      }
    }
    this.#rest = copy(bytes, at, bytes.length)
    return out
  }

  /** Objects that are not in the usual form, until one ends with the bytes that are here. */
  #general(stream: MsgpackStream, bytes: Uint8Array, out: MuxItem[]): void {
    for (const value of stream.push(bytes)) out.push(itemOf(value))
    this.#unusual = stream.atBoundary ? undefined : stream
  }
}

/** Head and payload of the largest message in any form. */
const MAX_OBJECT = MAX_PAYLOAD + 64

/** A real copy, also of a Node buffer. */
function copy(bytes: Uint8Array, from: number, to: number): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, from, to)
}

/** @returns how many bytes were taken */
function fill(body: Body, bytes: Uint8Array): number {
  const taken = Math.min(body.length - body.filled, bytes.length)
  const filled = body.filled + taken
  if (filled > body.data.length) {
    const grown = new Uint8Array(Math.min(body.length, Math.max(1024, 4 * filled)))
    grown.set(body.data.subarray(0, body.filled))
    body.data = grown
  }
  body.data.set(bytes.subarray(0, taken), body.filled)
  body.filled = filled
  return taken
}

/** The head of a message in the usual form: where its payload begins, and how long it is. */
function readHead(bytes: Uint8Array, start: number): { channel: number; start: number; length: number } | 'incomplete' | 'unusual' {
  let at = start
  if (bytes[at] !== 0x92) return 'unusual'
  at++
  const tag = bytes[at]
  if (tag === undefined) return 'incomplete'
  let channel: number
  if (tag < 0x80) {
    channel = tag
    at += 1
  } else if (tag === 0xcc) {
    if (bytes.length - at < 2) return 'incomplete'
    channel = bytes[at + 1] as number
    at += 2
  } else if (tag === 0xcd) {
    if (bytes.length - at < 3) return 'incomplete'
    channel = ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
    at += 3
  } else return 'unusual'
  const kind = bytes[at]
  if (kind === undefined) return 'incomplete'
  if (kind === 0xc4) return bytes.length - at < 2 ? 'incomplete' : { channel, start: at + 2, length: bytes[at + 1] as number }
  if (kind !== 0xc5) return 'unusual'
  return bytes.length - at < 3 ? 'incomplete' : { channel, start: at + 3, length: ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number) }
}

function itemOf(value: MsgpackValue): MuxItem {
  if (!Array.isArray(value) || value.length < 2) return 'strange'
  const [channel, data] = value
  if (typeof channel !== 'number' || !Number.isInteger(channel) || channel < 0 || channel > 0xffff) return 'strange'
  if (data instanceof Uint8Array) return { channel, data }
  return typeof data === 'string' ? { channel, data: utf8(data) } : 'strange'
}
