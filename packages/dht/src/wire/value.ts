// Values as stored and sent: clear or encrypted content, the exact bytes that are signed. Pure.
// docs/protocol/01 §4.1–4.3. Proof: wire/message.test.ts (captured values, refusal table, fuzz).
import { codecError, limitError } from '@jamikit/core/base'
import { asBytes, asInt, asMap, asString, asU64, decodeMsgpack, encodeMsgpack, equalBytes, fromHex, type MsgpackMap, MsgpackRaw, type MsgpackValue, toHex, utf8 } from '@jamikit/core/codec'
import type { InfoHash } from '@jamikit/core/contracts'

/** Content of one value, bytes. */
export const MAX_VALUE_BYTES = 65_536
/** One packed value. */
export const MAX_PACKED_BYTES = MAX_VALUE_BYTES + 32 + 4096
const LIMITS = { maxDepth: 8, maxItems: 70_000, maxBytes: MAX_PACKED_BYTES }

/** Clear content. `owner`, `seq`, `to` and `signature` exist only together with `owner`. */
export interface ValueBody {
  readonly type: number
  readonly data: Uint8Array
  readonly userType: string
  readonly owner: Uint8Array | undefined
  readonly seq: number
  /** Short id of the receiver of an encrypted value. */
  readonly to: InfoHash | undefined
  readonly signature: Uint8Array | undefined
}

export interface Value {
  /** 1 … 2^64-1 once stored; 0 = to be chosen. */
  readonly id: bigint
  readonly priority: number
  readonly pushType: string
  /** Exactly one of `body` and `cypher`. */
  readonly body: ValueBody | undefined
  readonly cypher: Uint8Array | undefined
}

/** The bytes under the signature: the body in canonical form. */
export function encodeBody(body: ValueBody): Uint8Array {
  const { owner } = body
  return encodeMsgpack({
    ...(owner ? { seq: body.seq, owner, to: body.to === undefined ? undefined : fromHex(body.to) } : {}),
    type: body.type,
    data: body.data,
    utype: body.userType === '' ? undefined : body.userType,
  })
}

/** `{body, sig}`: what is inside `dat`, and what is encrypted. */
export function encodeContent(body: ValueBody): Uint8Array {
  return encodeMsgpack({ body: new MsgpackRaw(encodeBody(body)) as never, sig: body.signature })
}

export function encodeValue(value: Value): Uint8Array {
  const dat = value.body ? new MsgpackRaw(encodeContent(value.body)) : (value.cypher ?? new Uint8Array(0))
  return encodeMsgpack({
    id: value.id, dat: dat as never, p: value.priority === 0 ? undefined : value.priority, pt: value.pushType === '' ? undefined : value.pushType,
  })
}

/** bin, str, or an array of small integers (peers of msgpack 1.0). @throws ERR_CODEC */
export function asBlob(v: MsgpackValue | undefined, field: string, max = MAX_PACKED_BYTES): Uint8Array {
  if (typeof v === 'string') return asBytes(utf8(v), field, { max })
  if (Array.isArray(v)) {
    if (v.length > max) throw limitError(field, v.length, max)
    return Uint8Array.from(v, (b) => asInt(b, field, 0, 255))
  }
  return asBytes(v, field, { max })
}

/** Signed content must have all of owner, seq and sig. Signatures are not checked here. @throws ERR_CODEC */
export function parseContent(dat: MsgpackMap): ValueBody {
  const map = asMap(dat.get('body'), 'body')
  const owner = map.get('owner')
  const to = map.get('to')
  const common = {
    type: asInt(map.get('type'), 'type', 0, 0xffff),
    data: asBlob(map.get('data'), 'data'),
    userType: map.get('utype') === undefined ? '' : asString(map.get('utype'), 'utype', 1024),
  }
  if (owner === undefined) return { ...common, owner: undefined, seq: 0, to: undefined, signature: undefined }
  return {
    ...common,
    owner: asBlob(owner, 'owner', 8192),
    seq: asInt(map.get('seq'), 'seq', 0, 0xffff),
    to: to === undefined ? undefined : (toHex(asBytes(to, 'to', { length: 20 })) as InfoHash),
    signature: asBlob(dat.get('sig'), 'sig', 2048),
  }
}

/** From the decoded map of a message. @throws ERR_CODEC, ERR_LIMIT */
export function parseValue(v: MsgpackValue | undefined): Value {
  const map = asMap(v, 'value')
  const id = asU64(map.get('id'), 'value id')
  const dat = map.get('dat')
  const p = map.get('p')
  const pt = map.get('pt')
  const clear = dat instanceof Map
  const value: Value = {
    id, priority: p === undefined ? 0 : asInt(p, 'p', 0, 0xffffffff), pushType: pt === undefined ? '' : asString(pt, 'pt', 256),
    body: clear ? parseContent(dat) : undefined,
    cypher: clear ? undefined : asBlob(dat, 'dat'),
  }
  const size = valueSize(value)
  if (size > MAX_VALUE_BYTES) throw limitError('value bytes', size, MAX_VALUE_BYTES)
  return value
}

/** @throws ERR_CODEC, ERR_LIMIT */
export function decodeValue(bytes: Uint8Array): Value {
  return parseValue(decodeMsgpack(bytes, LIMITS))
}

/** The content after decryption. @throws ERR_CODEC */
export function decodeContent(bytes: Uint8Array): ValueBody {
  const v = decodeMsgpack(bytes, LIMITS)
  if (!(v instanceof Map)) throw codecError('decrypted content', typeof v, 'a map')
  return parseContent(v)
}

/** What quotas count. */
export function valueSize(value: Value): number {
  const { body, cypher, pushType } = value
  return (cypher?.length ?? 0) + (body ? body.data.length + (body.signature?.length ?? 0) + body.userType.length : 0) + pushType.length
}

/** Same id and same content. */
export function sameValue(a: Value, b: Value): boolean {
  if (a.id !== b.id) return false
  if (a.cypher || b.cypher) return a.cypher !== undefined && b.cypher !== undefined && equalBytes(a.cypher, b.cypher)
  const [x, y] = [a.body, b.body]
  if (!x || !y) return false
  const same = (p: Uint8Array | undefined, q: Uint8Array | undefined) => (p && q ? equalBytes(p, q) : p === q)
  return x.type === y.type && x.userType === y.userType && equalBytes(x.data, y.data) && same(x.owner, y.owner) && same(x.signature, y.signature)
}

/** Type that storing nodes see. */
export function outerType(value: Value): number {
  return value.body?.type ?? 0
}
