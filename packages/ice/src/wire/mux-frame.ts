// Messages of the multiplexer and what travels on its two reserved channels. Pure.
// docs/protocol/02 §4.1. Proof: wire/mux-frame.test.ts (vectors, every split point, refusal table, fuzz).
import { codecError, limitError } from '@jamikit/core/base'
import { asInt, asString, encodeMsgpack, type MsgpackValue, readMsgpack } from '@jamikit/core/codec'

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

/** Messages out of a byte stream. Holds at most one incomplete message. @throws ERR_CODEC, ERR_LIMIT: the link cannot be read further */
export class MuxDecoder {
  #rest: Uint8Array = new Uint8Array(0) // bounded by MAX_HELD

  push(chunk: Uint8Array): MuxItem[] {
    let bytes = chunk
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length)
      bytes.set(this.#rest)
      bytes.set(chunk, this.#rest.length)
    }
    const out: MuxItem[] = []
    let at = 0
    while (at < bytes.length) {
      const item = readMessage(bytes, at)
      if (!item) break
      out.push(item.item)
      at = item.end
    }
    if (bytes.length - at > MAX_HELD) throw limitError('multiplexer message', bytes.length - at, MAX_PAYLOAD)
    this.#rest = bytes.slice(at)
    return out
  }
}

const MAX_HELD = MAX_PAYLOAD + 64

/** The usual form is read by hand, everything else by the general decoder. Payloads borrow from `bytes`. */
function readMessage(bytes: Uint8Array, start: number): { item: MuxItem; end: number } | undefined {
  let at = start
  const left = () => bytes.length - at
  if (bytes[at] !== 0x92) return general(bytes, start)
  at++
  const tag = bytes[at]
  if (tag === undefined) return undefined
  let channel: number
  if (tag < 0x80) {
    channel = tag
    at += 1
  } else if (tag === 0xcc) {
    if (left() < 2) return undefined
    channel = bytes[at + 1] as number
    at += 2
  } else if (tag === 0xcd) {
    if (left() < 3) return undefined
    channel = ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
    at += 3
  } else return general(bytes, start)
  const kind = bytes[at]
  if (kind === undefined) return undefined
  let length: number
  if (kind === 0xc4) {
    if (left() < 2) return undefined
    length = bytes[at + 1] as number
    at += 2
  } else if (kind === 0xc5) {
    if (left() < 3) return undefined
    length = ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
    at += 3
  } else return general(bytes, start)
  if (left() < length) return undefined
  return { item: { channel, data: bytes.subarray(at, at + length) }, end: at + length }
}

function general(bytes: Uint8Array, start: number): { item: MuxItem; end: number } | undefined {
  const read = readMsgpack(bytes, start, { maxDepth: 8, maxItems: 1024, maxBytes: MAX_PAYLOAD })
  if (!read) return undefined
  const { value, end } = read
  if (!Array.isArray(value) || value.length < 2) return { item: 'strange', end }
  const [channel, data] = value
  if (typeof channel !== 'number' || !Number.isInteger(channel) || channel < 0 || channel > 0xffff) return { item: 'strange', end }
  if (data instanceof Uint8Array) return { item: { channel, data }, end }
  if (typeof data === 'string') {
    const text = new TextEncoder().encode(data)
    if (text.length > MAX_PAYLOAD) throw codecError('multiplexer payload', `${text.length} bytes`, `at most ${MAX_PAYLOAD} bytes`)
    return { item: { channel, data: text }, end }
  }
  return { item: 'strange', end }
}
