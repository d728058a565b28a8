// Bounded msgpack for bytes on the wire, encoded as msgpack-c does it: integers minimal, str and bin told apart.
// Decoding never allocates from a declared size, has no extensions beyond raw ones, and caps depth, size and item count.
// Source: https://github.com/msgpack/msgpack/blob/master/spec.md, docs/protocol/01 §2.1. Proof: codec/msgpack.test.ts, codec/msgpack.oracle.test.ts.
import { codecError, limitError } from '../base/errors.ts'
import { fromUtf8, utf8 } from './bytes.ts'

/** An extension value, uninterpreted. */
export class MsgpackExt {
  /** -128 to 127; negative ones are msgpack's own. */
  readonly type: number
  /** As it stands. */
  readonly data: Uint8Array
  constructor(type: number, data: Uint8Array) {
    this.type = type
    this.data = data
  }
}

/** Decoded value. Integers within ±(2^53-1) are `number`, others `bigint`; maps keep wire order. */
export type MsgpackValue = null | boolean | number | bigint | string | Uint8Array | MsgpackExt | MsgpackValue[] | MsgpackMap
/** Key/value pairs in wire order; the first of equal keys wins in `get`. */
export type MsgpackMap = Map<MsgpackValue, MsgpackValue>

/** What can be encoded: plain objects become maps in property order, `undefined` properties are left out. Non-integral numbers become float64. */
export type MsgpackInput = null | boolean | number | bigint | string | Uint8Array | MsgpackExt | MsgpackRaw | readonly MsgpackInput[] | ReadonlyMap<MsgpackInput, MsgpackInput> | { readonly [key: string]: MsgpackInput | undefined }

/** Bytes that are already msgpack, spliced in as they are. */
export class MsgpackRaw {
  /** One whole object. */
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

class Writer {
  #buffer = new Uint8Array(256)
  #view = new DataView(this.#buffer.buffer as ArrayBuffer)
  #length = 0

  #room(n: number): number {
    const at = this.#length
    if (at + n > this.#buffer.length) {
      const next = new Uint8Array(Math.max(this.#buffer.length * 2, at + n))
      next.set(this.#buffer.subarray(0, at))
      this.#buffer = next
      this.#view = new DataView(next.buffer)
    }
    this.#length = at + n
    return at
  }

  u8(v: number): void {
    const at = this.#room(1) // before indexing: #room may replace the buffer
    this.#buffer[at] = v
  }

  tagged(tag: number, size: 1 | 2 | 4, v: number): void {
    const at = this.#room(1 + size)
    this.#buffer[at] = tag
    if (size === 1) this.#view.setUint8(at + 1, v)
    else if (size === 2) this.#view.setUint16(at + 1, v)
    else this.#view.setUint32(at + 1, v)
  }

  tagged64(tag: number, v: bigint): void {
    const at = this.#room(9)
    this.#buffer[at] = tag
    this.#view.setBigUint64(at + 1, BigInt.asUintN(64, v))
  }

  float64(v: number): void {
    const at = this.#room(9)
    this.#buffer[at] = 0xcb
    this.#view.setFloat64(at + 1, v)
  }

  bytes(b: Uint8Array): void {
    const at = this.#room(b.length)
    this.#buffer.set(b, at)
  }

  take(): Uint8Array {
    const wasted = this.#buffer.length - this.#length
    return this.#length > 4096 && wasted < this.#length / 4 ? this.#buffer.subarray(0, this.#length) : this.#buffer.slice(0, this.#length)
  }
}

/** @throws ERR_ARGUMENT-like ERR_CODEC for what msgpack cannot hold */
export function encodeMsgpack(value: MsgpackInput | MsgpackRaw): Uint8Array {
  const w = new Writer()
  put(w, value)
  return w.take()
}

function put(w: Writer, v: MsgpackInput | MsgpackRaw | undefined): void {
  if (v === null || v === undefined) w.u8(0xc0)
  else if (typeof v === 'boolean') w.u8(v ? 0xc3 : 0xc2)
  else if (typeof v === 'number') {
    if (Number.isInteger(v)) {
      if (v >= -0x80000000 && v <= 0xffffffff) putSmall(w, v)
      else putBig(w, BigInt(v))
    } else w.float64(v)
  } else if (typeof v === 'bigint') {
    if (v >= -0x80000000n && v <= 0xffffffffn) putSmall(w, Number(v))
    else putBig(w, v)
  } else if (typeof v === 'string') {
    const b = utf8(v)
    if (b.length < 32) w.u8(0xa0 | b.length)
    else if (b.length < 0x100) w.tagged(0xd9, 1, b.length)
    else if (b.length < 0x10000) w.tagged(0xda, 2, b.length)
    else w.tagged(0xdb, 4, b.length)
    w.bytes(b)
  } else if (v instanceof Uint8Array) {
    if (v.length < 0x100) w.tagged(0xc4, 1, v.length)
    else if (v.length < 0x10000) w.tagged(0xc5, 2, v.length)
    else w.tagged(0xc6, 4, v.length)
    w.bytes(v)
  } else if (v instanceof MsgpackRaw) w.bytes(v.bytes)
  else if (v instanceof MsgpackExt) {
    const n = v.data.length
    const fixed = [1, 2, 4, 8, 16].indexOf(n)
    if (fixed >= 0) w.u8(0xd4 + fixed)
    else if (n < 0x100) w.tagged(0xc7, 1, n)
    else if (n < 0x10000) w.tagged(0xc8, 2, n)
    else w.tagged(0xc9, 4, n)
    w.u8(v.type & 0xff)
    w.bytes(v.data)
  } else if (Array.isArray(v)) {
    if (v.length < 16) w.u8(0x90 | v.length)
    else if (v.length < 0x10000) w.tagged(0xdc, 2, v.length)
    else w.tagged(0xdd, 4, v.length)
    for (const item of v) put(w, item as MsgpackInput)
  } else {
    const entries: [MsgpackInput, MsgpackInput][] =
      v instanceof Map ? [...(v as Map<MsgpackInput, MsgpackInput>)] : (Object.entries(v).filter((e) => e[1] !== undefined) as [string, MsgpackInput][])
    if (entries.length < 16) w.u8(0x80 | entries.length)
    else if (entries.length < 0x10000) w.tagged(0xde, 2, entries.length)
    else w.tagged(0xdf, 4, entries.length)
    for (const [key, item] of entries) {
      put(w, key)
      put(w, item)
    }
  }
}

function putSmall(w: Writer, v: number): void {
  if (v >= 0) {
    if (v < 0x80) w.u8(v)
    else if (v < 0x100) w.tagged(0xcc, 1, v)
    else if (v < 0x10000) w.tagged(0xcd, 2, v)
    else w.tagged(0xce, 4, v)
  } else if (v >= -32) w.u8(v & 0xff)
  else if (v >= -0x80) w.tagged(0xd0, 1, v & 0xff)
  else if (v >= -0x8000) w.tagged(0xd1, 2, v & 0xffff)
  else w.tagged(0xd2, 4, v >>> 0)
}

function putBig(w: Writer, v: bigint): void {
  if (v > 0xffffffffffffffffn || v < -0x8000000000000000n) throw codecError('integer', v, '64 bits')
  w.tagged64(v >= 0n ? 0xcf : 0xd3, v)
}

/** What a decoder takes; more is ERR_LIMIT. */
export interface MsgpackLimits {
  /** Nesting of arrays and maps; default 16. */
  maxDepth?: number
  /** Total number of array items and map entries; default 65,536. */
  maxItems?: number
  /** Length of one str, bin or ext; default 1 MiB. */
  maxBytes?: number
}

/** The input ended inside an object: stream decoders wait for more. */
const INCOMPLETE = Symbol('incomplete')

/** Buffer.slice() does not copy: a Buffer is looked at as the Uint8Array it is, so that what is decoded is never a view. */
function plainBytes(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #depth: number
  readonly #maxBytes: number
  #items: number
  readonly #maxItems: number
  at: number

  constructor(bytes: Uint8Array, at: number, limits: MsgpackLimits) {
    this.#bytes = plainBytes(bytes)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.at = at
    this.#depth = limits.maxDepth ?? 16
    this.#maxItems = limits.maxItems ?? 65_536
    this.#items = 0
    this.#maxBytes = limits.maxBytes ?? 1 << 20
  }

  #need(n: number): number {
    const at = this.at
    if (at + n > this.#bytes.length) throw INCOMPLETE
    this.at = at + n
    return at
  }

  #u(size: 1 | 2 | 4): number {
    const at = this.#need(size)
    return size === 1 ? this.#view.getUint8(at) : size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at)
  }

  #blob(length: number): Uint8Array {
    if (length > this.#maxBytes) throw limitError('msgpack str/bin length', length, this.#maxBytes)
    const at = this.#need(length)
    return this.#bytes.slice(at, at + length)
  }

  #text(length: number): string {
    if (length > this.#maxBytes) throw limitError('msgpack str/bin length', length, this.#maxBytes)
    const at = this.#need(length)
    const bytes = this.#bytes
    let ascii = ''
    if (length <= 32) {
      let i = at
      for (; i < at + length; i++) {
        const byte = bytes[i] as number
        if (byte >= 0x80) break
        ascii += String.fromCharCode(byte)
      }
      if (i === at + length) return ascii
    }
    return fromUtf8(bytes.subarray(at, at + length), 'msgpack str')
  }

  #count(n: number, depth: number): number {
    if (depth >= this.#depth) throw limitError('msgpack depth', depth + 1, this.#depth)
    this.#items += n
    if (this.#items > this.#maxItems) throw limitError('msgpack items', this.#items, this.#maxItems)
    return n
  }

  #array(n: number, depth: number): MsgpackValue[] {
    this.#count(n, depth)
    const out: MsgpackValue[] = []
    for (let i = 0; i < n; i++) out.push(this.value(depth + 1))
    return out
  }

  #map(n: number, depth: number): MsgpackMap {
    this.#count(n, depth)
    const out: MsgpackMap = new Map()
    for (let i = 0; i < n; i++) {
      const key = this.value(depth + 1)
      const value = this.value(depth + 1)
      if (!out.has(key)) out.set(key, value)
    }
    return out
  }

  #big(at: number, signed: boolean): number | bigint {
    const v = signed ? this.#view.getBigInt64(at) : this.#view.getBigUint64(at)
    return v >= -9007199254740991n && v <= 9007199254740991n ? Number(v) : v
  }

  #ext(length: number): MsgpackExt {
    if (length > this.#maxBytes) throw limitError('msgpack str/bin length', length, this.#maxBytes)
    const type = this.#view.getInt8(this.#need(1))
    return new MsgpackExt(type, this.#blob(length))
  }

  value(depth: number): MsgpackValue {
    const tag = this.#u(1)
    if (tag < 0x80) return tag
    if (tag < 0x90) return this.#map(tag & 0x0f, depth)
    if (tag < 0xa0) return this.#array(tag & 0x0f, depth)
    if (tag < 0xc0) return this.#text(tag & 0x1f)
    if (tag >= 0xe0) return tag - 0x100
    switch (tag) {
      case 0xc0: return null
      case 0xc2: return false
      case 0xc3: return true
      case 0xc4: return this.#blob(this.#u(1))
      case 0xc5: return this.#blob(this.#u(2))
      case 0xc6: return this.#blob(this.#u(4))
      case 0xc7: return this.#ext(this.#u(1))
      case 0xc8: return this.#ext(this.#u(2))
      case 0xc9: return this.#ext(this.#u(4))
      case 0xca: return this.#view.getFloat32(this.#need(4))
      case 0xcb: return this.#view.getFloat64(this.#need(8))
      case 0xcc: return this.#u(1)
      case 0xcd: return this.#u(2)
      case 0xce: return this.#u(4)
      case 0xcf: return this.#big(this.#need(8), false)
      case 0xd0: return this.#view.getInt8(this.#need(1))
      case 0xd1: return this.#view.getInt16(this.#need(2))
      case 0xd2: return this.#view.getInt32(this.#need(4))
      case 0xd3: return this.#big(this.#need(8), true)
      case 0xd4: return this.#ext(1)
      case 0xd5: return this.#ext(2)
      case 0xd6: return this.#ext(4)
      case 0xd7: return this.#ext(8)
      case 0xd8: return this.#ext(16)
      case 0xd9: return this.#text(this.#u(1))
      case 0xda: return this.#text(this.#u(2))
      case 0xdb: return this.#text(this.#u(4))
      case 0xdc: return this.#array(this.#u(2), depth)
      case 0xdd: return this.#array(this.#u(4), depth)
      case 0xde: return this.#map(this.#u(2), depth)
      case 0xdf: return this.#map(this.#u(4), depth)
      default: throw codecError('msgpack tag', `0x${tag.toString(16)}`, 'a defined type')
    }
  }
}

/** Reads one object at `offset`. `end` is where the next begins; undefined when the input ends inside the object. @throws ERR_CODEC, ERR_LIMIT */
export function readMsgpack(bytes: Uint8Array, offset = 0, limits: MsgpackLimits = {}): { value: MsgpackValue; end: number } | undefined {
  const reader = new Reader(bytes, offset, limits)
  try {
    const value = reader.value(0)
    return { value, end: reader.at }
  } catch (error) {
    if (error === INCOMPLETE) return undefined
    throw error
  }
}

/** Exactly one object. @throws ERR_CODEC (also for trailing bytes), ERR_LIMIT */
export function decodeMsgpack(bytes: Uint8Array, limits: MsgpackLimits = {}): MsgpackValue {
  const read = readMsgpack(bytes, 0, limits)
  if (!read) throw codecError('msgpack object', `${bytes.length} bytes`, 'a complete object')
  if (read.end !== bytes.length) throw codecError('msgpack object', `${bytes.length - read.end} bytes after it`, 'nothing after it')
  return read.value
}

/**
 * Finds where an object ends, token by token, and goes on where it stopped when more bytes come: every byte is looked at
 * once, however the stream is cut. Enforces the limits before the bytes they concern are kept.
 */
class Scanner {
  readonly #maxDepth: number
  readonly #maxItems: number
  readonly #maxBytes: number
  readonly #maxObjectBytes: number
  /** Values still missing at each open level. */
  readonly #open: number[] = [] // bounded by maxDepth
  #items = 0
  /** Offset of the next token from the object's start; may lie beyond what is there. */
  #at = 0
  #done = false

  constructor(maxObjectBytes: number, limits: MsgpackLimits) {
    this.#maxObjectBytes = maxObjectBytes
    this.#maxDepth = limits.maxDepth ?? 16
    this.#maxItems = limits.maxItems ?? 65_536
    this.#maxBytes = limits.maxBytes ?? 1 << 20
  }

  /** Length of the object that begins at `start`, or undefined when it is not whole. @throws ERR_CODEC, ERR_LIMIT */
  scan(bytes: Uint8Array, start: number, end: number): number | undefined {
    while (!this.#done) {
      const at = start + this.#at
      const tag = bytes[at]
      if (at >= end || tag === undefined) return undefined
      const { size, kind } = headerOf(tag)
      if (at + 1 + size > end) return undefined
      let n = tag
      if (size > 0) {
        n = 0
        for (let i = 1; i <= size; i++) n = n * 256 + (bytes[at + i] as number)
      }
      this.#at += 1 + size
      if (kind === 'scalar') this.#close()
      else if (kind === 'fix') {
        this.#skip(tag)
      } else if (kind === 'blob' || kind === 'ext') {
        this.#checkBlob(n)
        this.#advance(kind === 'ext' ? n + 1 : n)
        this.#close()
      } else this.#enter(n, kind === 'map')
    }
    return start + this.#at <= end ? this.#at : undefined
  }

  reset(): void {
    this.#open.length = 0
    this.#items = 0
    this.#at = 0
    this.#done = false
  }

  #skip(tag: number): void {
    if (tag >= 0xd4 && tag <= 0xd8) {
      this.#advance(1 + (1 << (tag - 0xd4)))
      this.#close()
    } else if (tag >= 0xa0 && tag < 0xc0) {
      this.#checkBlob(tag & 0x1f)
      this.#advance(tag & 0x1f)
      this.#close()
    } else this.#enter(tag & 0x0f, tag < 0x90)
  }

  #advance(n: number): void {
    this.#at += n
    if (this.#at > this.#maxObjectBytes) throw limitError('msgpack object length', this.#at, this.#maxObjectBytes)
  }

  #checkBlob(n: number): void {
    if (n > this.#maxBytes) throw limitError('msgpack str/bin length', n, this.#maxBytes)
  }

  #enter(n: number, isMap: boolean): void {
    if (this.#open.length >= this.#maxDepth) throw limitError('msgpack depth', this.#open.length + 1, this.#maxDepth)
    this.#items += n
    if (this.#items > this.#maxItems) throw limitError('msgpack items', this.#items, this.#maxItems)
    this.#advance(0)
    if (n === 0) this.#close()
    else this.#open.push(isMap ? 2 * n : n)
  }

  /** A value is over: so are the levels it was the last one of. */
  #close(): void {
    this.#advance(0)
    for (let level = this.#open.length - 1; level >= 0; level--) {
      const left = (this.#open[level] as number) - 1
      if (left > 0) {
        this.#open[level] = left
        return
      }
      this.#open.pop()
    }
    this.#done = true
  }
}

interface TokenHeader {
  /** Bytes of the length, count or scalar after the tag. */
  readonly size: number
  readonly kind: 'scalar' | 'fix' | 'blob' | 'ext' | 'array' | 'map'
}

const SCALAR: TokenHeader = { size: 0, kind: 'scalar' }
const FIX: TokenHeader = { size: 0, kind: 'fix' }
const BY_TAG: readonly (TokenHeader | undefined)[] = Array.from({ length: 256 }, (_, tag): TokenHeader | undefined => {
  if (tag < 0x80 || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) return SCALAR
  if (tag < 0xc0 || (tag >= 0xd4 && tag <= 0xd8)) return FIX
  if (tag >= 0xc4 && tag <= 0xc6) return { size: 1 << (tag - 0xc4), kind: 'blob' }
  if (tag >= 0xc7 && tag <= 0xc9) return { size: 1 << (tag - 0xc7), kind: 'ext' }
  if (tag === 0xca || tag === 0xcb) return { size: tag === 0xca ? 4 : 8, kind: 'scalar' }
  if (tag >= 0xcc && tag <= 0xd3) return { size: 1 << (tag & 3), kind: 'scalar' }
  if (tag >= 0xd9 && tag <= 0xdb) return { size: 1 << (tag - 0xd9), kind: 'blob' }
  if (tag === 0xdc || tag === 0xdd) return { size: tag === 0xdc ? 2 : 4, kind: 'array' }
  if (tag === 0xde || tag === 0xdf) return { size: tag === 0xde ? 2 : 4, kind: 'map' }
  return undefined
})

function headerOf(tag: number): TokenHeader {
  const header = BY_TAG[tag]
  if (!header) throw codecError('msgpack tag', `0x${tag.toString(16)}`, 'a defined type')
  return header
}

/** Objects out of a byte stream, each at most `maxObjectBytes` long; keeps the incomplete rest, and looks at no byte twice. */
export class MsgpackStream {
  readonly #limits: MsgpackLimits
  readonly #scanner: Scanner
  readonly #maxObjectBytes: number
  /** The incomplete object: the first `#length` bytes. */
  #buffer = new Uint8Array(0) // bounded by maxObjectBytes, doubled when full
  #length = 0

  constructor(maxObjectBytes: number, limits: MsgpackLimits = {}) {
    this.#maxObjectBytes = maxObjectBytes
    this.#limits = limits
    this.#scanner = new Scanner(maxObjectBytes, limits)
  }

  /** True when nothing of an incomplete object waits. */
  get atBoundary(): boolean {
    return this.#length === 0
  }

  /** Complete objects in order. The chunk is not kept. @throws ERR_CODEC, ERR_LIMIT; the stream cannot be used afterwards */
  push(chunk: Uint8Array): MsgpackValue[] {
    const out: MsgpackValue[] = []
    let at = 0
    if (this.#length > 0) {
      const had = this.#length
      this.#append(chunk)
      const length = this.#scanner.scan(this.#buffer, 0, this.#length)
      if (length === undefined) return this.#wait(out)
      out.push(decodeMsgpack(this.#buffer.subarray(0, length), this.#limits))
      this.#forget()
      at = length - had
    }
    while (at < chunk.length) {
      const length = this.#scanner.scan(chunk, at, chunk.length)
      if (length === undefined) {
        this.#append(chunk.subarray(at))
        return this.#wait(out)
      }
      out.push(decodeMsgpack(chunk.subarray(at, at + length), this.#limits))
      this.#scanner.reset()
      at += length
    }
    return out
  }

  #wait(out: MsgpackValue[]): MsgpackValue[] {
    if (this.#length >= this.#maxObjectBytes) throw limitError('msgpack object length', this.#length + 1, this.#maxObjectBytes)
    return out
  }

  #append(bytes: Uint8Array): void {
    const needed = Math.min(this.#length + bytes.length, this.#maxObjectBytes)
    const room = needed - this.#length // what is beyond cannot belong to this object
    if (needed > this.#buffer.length) {
      const next = new Uint8Array(Math.max(needed, Math.min(2 * this.#buffer.length, this.#maxObjectBytes)))
      next.set(this.#buffer.subarray(0, this.#length))
      this.#buffer = next
    }
    this.#buffer.set(bytes.subarray(0, room), this.#length)
    this.#length = needed
  }

  #forget(): void {
    this.#scanner.reset()
    this.#length = 0
    if (this.#buffer.length > 65_536) this.#buffer = new Uint8Array(0)
  }
}
