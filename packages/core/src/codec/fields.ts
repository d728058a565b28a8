// Typed access to decoded msgpack maps: each accessor checks type and bounds and names the field it refuses.
import { codecError } from '../base/errors.ts'
import type { MsgpackMap, MsgpackValue } from './msgpack.ts'

function kind(v: MsgpackValue | undefined): string {
  return v === undefined ? 'nothing' : v === null ? 'nil' : v instanceof Uint8Array ? `bin(${v.length})` : Array.isArray(v) ? 'array' : v instanceof Map ? 'map' : typeof v
}

/** A map, as decoded. @throws ERR_CODEC naming `field` for everything else */
export function asMap(v: MsgpackValue | undefined, field: string): MsgpackMap {
  if (v instanceof Map) return v
  throw codecError(field, kind(v), 'a map')
}

/** An array. @param maxLength items @throws ERR_CODEC naming `field` */
export function asArray(v: MsgpackValue | undefined, field: string, maxLength = 65_536): MsgpackValue[] {
  if (Array.isArray(v) && v.length <= maxLength) return v
  throw codecError(field, Array.isArray(v) ? `${v.length} items` : kind(v), `an array of at most ${maxLength} items`)
}

/** A text. @param maxLength characters @throws ERR_CODEC naming `field` */
export function asString(v: MsgpackValue | undefined, field: string, maxLength = 65_536): string {
  if (typeof v === 'string' && v.length <= maxLength) return v
  throw codecError(field, typeof v === 'string' ? `${v.length} characters` : kind(v), `a string of at most ${maxLength} characters`)
}

/** `length` exact, or `max` upper bound. */
export function asBytes(v: MsgpackValue | undefined, field: string, bounds: { length?: number; max?: number } = {}): Uint8Array {
  const max = bounds.max ?? 1 << 20
  if (v instanceof Uint8Array && (bounds.length === undefined ? v.length <= max : v.length === bounds.length)) return v
  throw codecError(field, kind(v), bounds.length === undefined ? `bin of at most ${max} bytes` : `bin of ${bounds.length} bytes`)
}

/** Integer within [min, max] that a double holds exactly. */
export function asInt(v: MsgpackValue | undefined, field: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof v === 'number' && Number.isInteger(v) && v >= min && v <= max) return v
  throw codecError(field, typeof v === 'number' ? v : kind(v), `an integer from ${min} to ${max}`)
}

/** An unsigned 64-bit integer of either type. @throws ERR_CODEC naming `field` */
export function asU64(v: MsgpackValue | undefined, field: string): bigint {
  if ((typeof v === 'number' && Number.isInteger(v) && v >= 0) || (typeof v === 'bigint' && v >= 0n && v <= 0xffffffffffffffffn)) return BigInt(v)
  throw codecError(field, typeof v === 'number' || typeof v === 'bigint' ? v : kind(v), 'an unsigned 64-bit integer')
}

/** True or false. @throws ERR_CODEC naming `field` for everything else */
export function asBool(v: MsgpackValue | undefined, field: string): boolean {
  if (typeof v === 'boolean') return v
  throw codecError(field, kind(v), 'a boolean')
}
