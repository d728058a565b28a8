// Queries of get and listen: which values, which of their fields. Pure. docs/protocol/01 §4.7. Proof: wire/message.test.ts.
import { codecError } from '@jamikit/core/base'
import { asArray, asBytes, asInt, asMap, asU64, fromHex, fromUtf8, type MsgpackInput, type MsgpackValue, toHex, utf8 } from '@jamikit/core/codec'
import type { InfoHash } from '@jamikit/core/contracts'
import { shortIdOf } from '@jamikit/core/identity'
import type { Value } from './value.ts'

export const FIELD = { id: 1, type: 2, owner: 3, seq: 4, userType: 5 } as const

/** All given conditions must hold. */
export interface Where {
  readonly id?: bigint
  readonly type?: number
  /** Short id of the owner. */
  readonly owner?: InfoHash
  readonly userType?: string
}

export interface Query {
  /** Field numbers; empty = whole values. */
  readonly select: readonly number[]
  readonly where: Where
}

export const EVERYTHING: Query = { select: [], where: {} }

/** Undefined when there is nothing to say: then the key is left out. */
export function encodeQuery(query: Query): MsgpackInput | undefined {
  const { id, type, owner, userType } = query.where
  const where: MsgpackInput[] = []
  if (id !== undefined) where.push({ f: FIELD.id, v: id })
  if (type !== undefined) where.push({ f: FIELD.type, v: type })
  if (owner !== undefined) where.push({ f: FIELD.owner, v: fromHex(owner) })
  if (userType !== undefined) where.push({ f: FIELD.userType, v: utf8(userType) })
  return query.select.length === 0 && where.length === 0 ? undefined : { s: [...query.select], w: where }
}

/** @throws ERR_CODEC, also for a condition on the sequence number, which has no wire form */
export function parseQuery(v: MsgpackValue | undefined): Query {
  if (v === undefined) return EVERYTHING
  const map = asMap(v, 'query')
  const select = asArray(map.get('s') ?? [], 'select', 16).map((f) => asInt(f, 'select field', 0, 255))
  const where: { -readonly [K in keyof Where]: Where[K] } = {}
  for (const term of asArray(map.get('w') ?? [], 'where', 16)) {
    const t = asMap(term, 'where term')
    const field = asInt(t.get('f'), 'where field', 0, 255)
    const value = t.get('v')
    if (field === FIELD.id) where.id = asU64(value, 'where id')
    else if (field === FIELD.type) where.type = asInt(value, 'where type', 0, 0xffff)
    else if (field === FIELD.owner) where.owner = toHex(asBytes(value, 'where owner', { length: 20 })) as InfoHash
    else if (field === FIELD.userType) where.userType = typeof value === 'string' ? value : fromUtf8(asBytes(value, 'where user type', { max: 1024 }))
    else throw codecError('where field', field, '1, 2, 3 or 5')
  }
  return { select, where }
}

const ownerIds = new WeakMap<Uint8Array, InfoHash>()

function ownerId(owner: Uint8Array): InfoHash {
  const known = ownerIds.get(owner)
  if (known) return known
  const id = shortIdOf(owner) as InfoHash
  ownerIds.set(owner, id)
  return id
}

/** Encrypted values show only their id and type 0. */
export function matches(where: Where, value: Value): boolean {
  if (where.id !== undefined && where.id !== value.id) return false
  if (where.type !== undefined && where.type !== (value.body?.type ?? 0)) return false
  if (where.userType !== undefined && where.userType !== (value.body?.userType ?? '')) return false
  if (where.owner !== undefined && (!value.body?.owner || ownerId(value.body.owner) !== where.owner)) return false
  return true
}

export function sameWhere(a: Where, b: Where): boolean {
  return a.id === b.id && a.type === b.type && a.owner === b.owner && a.userType === b.userType
}

/** The `fileds` reply: fields in ascending order, values row by row. */
export function selectFields(select: readonly number[], values: readonly Value[]): { f: number[]; v: MsgpackInput[] } {
  const f = [...new Set(select)].filter((n) => n >= 1 && n <= 5).sort((a, b) => a - b)
  const v = values.flatMap((value) => f.map((field): MsgpackInput => {
    if (field === FIELD.id) return value.id
    if (field === FIELD.type) return value.body?.type ?? 0
    if (field === FIELD.owner) return value.body?.owner ?? new Uint8Array(20)
    if (field === FIELD.seq) return value.body?.seq ?? 0
    return value.body?.userType ?? ''
  }))
  return { f, v }
}

/** The readable rows of a `fileds` reply that hold id (and seq). @throws ERR_CODEC */
export function parseIdSeqRows(v: MsgpackValue | undefined): { id: bigint; seq: number }[] {
  const map = asMap(v, 'fileds')
  const f = asArray(map.get('f') ?? [], 'fields', 16).map((n) => asInt(n, 'field', 0, 255))
  const flat = asArray(map.get('v') ?? [], 'field values')
  const idAt = f.indexOf(FIELD.id)
  const seqAt = f.indexOf(FIELD.seq)
  if (idAt < 0) throw codecError('fileds', `${f.length} fields`, 'rows with an id')
  const out: { id: bigint; seq: number }[] = []
  for (let row = 0; row + f.length <= flat.length; row += f.length) {
    const [id, seq] = [flat[row + idAt], seqAt < 0 ? 0 : flat[row + seqAt]]
    // a row that cannot be read costs itself
    if ((typeof id === 'bigint' || (typeof id === 'number' && Number.isSafeInteger(id))) && id >= 0 && typeof seq === 'number' && Number.isInteger(seq) && seq >= 0 && seq <= 0xffff) out.push({ id: asU64(id, 'id'), seq })
  }
  return out
}

