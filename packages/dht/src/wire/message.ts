// Datagrams: requests, replies, errors, fragments. Key order as the reference emits it, any order accepted. Pure.
// docs/protocol/01 §2. Proof: wire/message.test.ts (captured packets re-encode exactly, refusal table, fuzz).
import { codecError, JamiError } from '@jamikit/core/base'
import { asArray, asBool, asBytes, asInt, asMap, asString, asU64, decodeMsgpack, encodeMsgpack, fromHex, type MsgpackInput, type MsgpackMap, MsgpackRaw, type MsgpackValue, toHex } from '@jamikit/core/codec'
import type { InfoHash } from '@jamikit/core/contracts'
import { decodeNodes, encodeNodes, type NodeInfo } from './node-info.ts'
import { encodeQuery, parseIdSeqRows, parseQuery, type Query } from './query.ts'
import { asBlob, encodeValue, parseValue, type Value } from './value.ts'

export type RequestName = 'ping' | 'find' | 'get' | 'put' | 'listen' | 'refresh' | 'update'
const REQUESTS: ReadonlySet<string> = new Set<RequestName>(['ping', 'find', 'get', 'put', 'listen', 'refresh', 'update'])

export const AGENT = 'jk'
/** Bytes of one fragment's content. */
export const FRAGMENT_BYTES = 1280
const INLINE_BYTES = 600
const INLINE_COUNT = 50
const MAX_DATAGRAM = 65_507
export const MAX_TOKEN_BYTES = 64
const MAX_VALUES = 65_536

/** Fields common to requests and replies; each optional as on the wire. */
export interface Arguments {
  id: InfoHash
  /** Listen protocol version. */
  ve?: number
  h?: InfoHash
  target?: InfoHash
  sid?: number
  query?: Query
  n4?: readonly NodeInfo[]
  n6?: readonly NodeInfo[]
  /** Wanted families. */
  want?: readonly (4 | 6)[]
  vid?: bigint
  /** Complete values. */
  values?: readonly Value[]
  /** Lengths of values that follow as fragments, by index; received only. */
  sizes?: readonly number[]
  /** Rows of a select. */
  rows?: readonly { id: bigint; seq: number }[]
  fileds?: { f: number[]; v: MsgpackInput[] }
  /** Unix seconds. */
  created?: number
  token?: Uint8Array
  refreshed?: readonly bigint[]
  expired?: readonly bigint[]
  /** Address of the asker as seen by the replier, 4 or 16 bytes. */
  sa?: Uint8Array
}

interface Envelope {
  readonly tid: number
  readonly network: number
  readonly client: boolean
  readonly agent?: string
}

export interface RequestMessage extends Envelope {
  readonly kind: 'request'
  readonly name: RequestName
  readonly args: Arguments
}
export interface ReplyMessage extends Envelope {
  readonly kind: 'reply'
  readonly args: Arguments
}
/** Push to a listener of version 0: `tid` is its socket id. */
export interface LegacyPushMessage extends Envelope {
  readonly kind: 'push'
  readonly args: Arguments
}
export interface ErrorMessage extends Envelope {
  readonly kind: 'error'
  readonly code: number
  readonly text: string
  readonly id: InfoHash
}
export interface FragmentMessage extends Envelope {
  readonly kind: 'fragment'
  readonly parts: readonly { index: number; offset: number; bytes: Uint8Array }[]
}
export type DhtMessage = RequestMessage | ReplyMessage | LegacyPushMessage | ErrorMessage | FragmentMessage

function envelope(m: Envelope): { t: number; y?: string; v: string; n: number | undefined; s: true | undefined } {
  return { t: m.tid, v: m.agent ?? AGENT, n: m.network === 0 ? undefined : m.network, s: m.client ? true : undefined }
}

function argumentsMap(a: Arguments, values: MsgpackInput | undefined): MsgpackInput {
  const reply = a.sa !== undefined
  return {
    id: fromHex(a.id), ve: a.ve, h: a.h && fromHex(a.h),
    ...(reply ? { vid: a.vid, sa: a.sa } : { target: a.target && fromHex(a.target) }),
    n4: a.n4 && a.n4.length > 0 ? encodeNodes(a.n4) : undefined, n6: a.n6 && a.n6.length > 0 ? encodeNodes(a.n6) : undefined,
    ...(reply ? { token: a.token, fileds: a.fileds as MsgpackInput | undefined, values } : {}),
    ...(reply ? {} : a.refreshed || a.expired
      ? { sid: a.sid, token: a.token, re: a.refreshed && [...a.refreshed], exp: a.expired && [...a.expired] }
      : a.values && a.sid !== undefined
        ? { sid: a.sid, values, c: a.created, token: a.token } // update
        : a.values
          ? { values, c: a.created, token: a.token } // put
          : a.vid !== undefined ? { vid: a.vid, token: a.token } : { token: a.token, sid: a.sid }),
    q: a.query && encodeQuery(a.query),
    w: a.want?.map((f) => (f === 4 ? 2 : 10)),
  }
}

/** The datagrams of a request or reply: header first, then the fragments in order. */
export function encodeMessage(m: RequestMessage | ReplyMessage): Uint8Array[] {
  const packed = m.args.values?.map(encodeValue) ?? []
  const total = packed.reduce((sum, p) => sum + p.length, 0)
  const inline = packed.length < INLINE_COUNT && total < INLINE_BYTES
  const values: MsgpackInput | undefined = packed.length === 0 ? undefined : packed.map((p) => (inline ? (new MsgpackRaw(p) as never) : p.length))
  const { t, v, n, s } = envelope(m)
  const args = argumentsMap(m.args, values)
  const header =
    m.kind === 'reply' ? { r: args, t, y: 'r', v, n, s }
    : m.args.refreshed || m.args.expired ? { a: args, y: 'q', v, n, s, q: m.name, t }
    : { a: args, q: m.name, t, y: 'q', v, n, s }
  const out = [encodeMsgpack(header)]
  if (inline) return out
  for (const [index, bytes] of packed.entries())
    for (let o = 0; o < bytes.length; o += FRAGMENT_BYTES)
      out.push(encodeMsgpack({ n, s, y: 'p', t, p: new Map([[index, { o, d: bytes.subarray(o, o + FRAGMENT_BYTES) }]]) as never }))
  return out
}

export function encodeError(m: ErrorMessage): Uint8Array {
  const { t, v, n, s } = envelope(m)
  return encodeMsgpack({ e: [m.code, m.text], r: { id: fromHex(m.id) }, t, y: 'e', v, n, s })
}

function hash(v: MsgpackValue | undefined, field: string): InfoHash {
  return toHex(asBytes(v, field, { length: 20 })) as InfoHash
}

/** u32, or 4 bytes big-endian from old peers. */
function u32(v: MsgpackValue | undefined, field: string): number {
  if (typeof v === 'number') return asInt(v, field, 0, 0xffffffff)
  const b = asBlob(v, field, 4)
  if (b.length !== 4) throw codecError(field, `${b.length} bytes`, 'an integer or 4 bytes')
  return new DataView(b.buffer, b.byteOffset, 4).getUint32(0)
}

/** Reads what may be wrong without making the rest worthless: undefined when it is. Errors that are no refusals of the codec pass. */
function lenient<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof JamiError && (error.code === 'ERR_CODEC' || error.code === 'ERR_LIMIT')) return undefined
    throw error
  }
}

/** The elements that can be read. @throws ERR_CODEC when it is no list */
function each<T>(v: MsgpackValue, field: string, read: (item: MsgpackValue) => T, max?: number): T[] {
  return asArray(v, field, max).flatMap((item) => lenient(() => [read(item)]) ?? [])
}

function ids(v: MsgpackValue, field: string): bigint[] {
  return each(v, field, (id) => asU64(id, field))
}

function parseArguments(map: MsgpackMap, reply: boolean): Arguments {
  const a: Arguments = { id: hash(map.get('id'), 'id') }
  const on = (key: string, use: (v: MsgpackValue) => void) => {
    const v = map.get(key)
    if (v !== undefined) use(v)
  }
  on('ve', (v) => { a.ve = asInt(v, 've', 0, 0xffff) })
  on('h', (v) => { a.h = hash(v, 'h') })
  on('target', (v) => { a.target = hash(v, 'target') })
  on('sid', (v) => { a.sid = u32(v, 'sid') })
  on('q', (v) => { a.query = parseQuery(v) })
  on('vid', (v) => { a.vid = asU64(v, 'vid') })
  on('c', (v) => { a.created = asInt(v, 'c', 0) })
  on('token', (v) => { a.token = asBlob(v, 'token', 1024) })
  on('re', (v) => { a.refreshed = ids(v, 're') })
  on('exp', (v) => { a.expired = ids(v, 'exp') })
  on('w', (v) => {
    a.want = asArray(v, 'w', 16).flatMap((f) => (f === 2 ? [4 as const] : f === 10 || f === 23 || f === 24 || f === 28 || f === 30 ? [6 as const] : []))
  })
  if (reply) {
    // what a reply tells beside its answer: a bad part costs itself (§2.1)
    on('sa', (v) => { a.sa = lenient(() => asBytes(v, 'sa', { max: 28 })) ?? new Uint8Array(0) })
    on('n4', (v) => { a.n4 = lenient(() => decodeNodes(asBlob(v, 'n4'), 4)) ?? [] })
    on('n6', (v) => { a.n6 = lenient(() => decodeNodes(asBlob(v, 'n6'), 6)) ?? [] })
    on('fileds', (v) => { a.rows = lenient(() => parseIdSeqRows(v)) ?? [] })
  } else on('sa', (v) => { a.sa = asBytes(v, 'sa', { max: 28 }) })
  on('values', (v) => {
    const list = asArray(v, 'values', MAX_VALUES)
    const whole: Value[] = []
    const sizes: number[] = []
    for (const item of list) {
      // one bad value costs itself (§2.1); sizes keep their places, which are the indexes of their fragments
      if (typeof item === 'number') sizes.push(lenient(() => asInt(item, 'value size', 0, 0xffffffff)) ?? 0)
      else whole.push(...(lenient(() => [parseValue(item)]) ?? []))
    }
    a.values = whole
    if (sizes.length > 0) a.sizes = sizes
  })
  return a
}

/** @throws ERR_CODEC, ERR_LIMIT: the datagram is dropped */
export function decodeMessage(datagram: Uint8Array): DhtMessage {
  const map = asMap(decodeMsgpack(datagram, { maxDepth: 12, maxItems: 70_000, maxBytes: MAX_DATAGRAM }), 'message')
  const n = map.get('n')
  const s = map.get('s')
  const v = map.get('v')
  const common = {
    tid: map.get('t') === undefined ? 0 : u32(map.get('t'), 't'), network: n === undefined ? 0 : asInt(n, 'n', 0, 0xffffffff),
    client: s === undefined ? false : asBool(s, 's'), ...(typeof v === 'string' ? { agent: v } : {}),
  }
  const e = map.get('e')
  const r = map.get('r')
  if (e !== undefined) {
    const [code, text] = asArray(e, 'e', 4)
    return { kind: 'error', ...common, code: asInt(code, 'error code', 0, 0xffff), text: typeof text === 'string' ? text.slice(0, 200) : '', id: hash(asMap(r, 'r').get('id'), 'id') }
  }
  if (r !== undefined) return { kind: 'reply', ...common, args: parseArguments(asMap(r, 'r'), true) }
  const p = map.get('p')
  if (p !== undefined) {
    const parts = [...asMap(p, 'p')].flatMap(([index, part]) => lenient(() => {
      const piece = asMap(part, 'fragment')
      return [{ index: asInt(index, 'fragment index', 0, MAX_VALUES), offset: asInt(piece.get('o'), 'fragment offset', 0, 1 << 20), bytes: asBlob(piece.get('d'), 'fragment bytes') }]
    }) ?? [])
    return { kind: 'fragment', ...common, parts }
  }
  const u = map.get('u')
  if (u !== undefined) return { kind: 'push', ...common, args: parseArguments(asMap(u, 'u'), false) }
  const y = map.get('y')
  if (y !== undefined && y !== 'q') throw codecError('y', String(y), 'q')
  const name = asString(map.get('q'), 'q', 16)
  if (!REQUESTS.has(name)) throw codecError('q', name, [...REQUESTS].join(' '))
  return { kind: 'request', ...common, name: name as RequestName, args: parseArguments(asMap(map.get('a'), 'a'), false) }
}
