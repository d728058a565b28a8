// What callers give to the Dht contract, checked at the call; the real one and its double refuse the same. docs/protocol/01 §4.1, §4.2.
// Proof: testing/fake-dht.test.ts with testing/suites/dht.ts.
import { type Check, checkArgument, checkOptions, is, OP, type Shape } from './arguments.ts'
import { argumentError } from './errors.ts'

const MAX_VALUE_BYTES = 65_536
const MAX_TEXT_BYTES = 1024
const MAX_PUSH_TYPE_BYTES = 256 // that of a commit notice is 69 bytes long

const isText = (value: unknown, max: number) => typeof value === 'string' && !/\p{Surrogate}/u.test(value) && new TextEncoder().encode(value).length <= max
const keyLike = (value: unknown) => typeof value === 'object' && value !== null && typeof (value as { pem?: unknown }).pem === 'string' && (value as { publicKey?: unknown }).publicKey instanceof Uint8Array

/** A value id: 0 is "any" in puts. */
export const VALUE_ID: Check = { allowed: 'a bigint of 0 to 2^64 - 1', test: (value) => typeof value === 'bigint' && value >= 0n && value < 1n << 64n }
export const USER_TYPE: Check = { allowed: `a well-formed text of at most ${MAX_TEXT_BYTES} bytes`, test: (value) => isText(value, MAX_TEXT_BYTES) }
export const VALUE_DATA: Check = { allowed: `a Uint8Array of at most ${MAX_VALUE_BYTES} bytes`, test: (value) => value instanceof Uint8Array && value.length <= MAX_VALUE_BYTES }
export const SEQUENCE: Check = is.whole(0, 0xffff)
const PRIVATE_KEY: Check = { allowed: 'a private key', test: keyLike, shown: (value) => typeof value }
const KEY: Check = { allowed: '40 lower-case hex digits', test: (value) => typeof value === 'string' && /^[0-9a-f]{40}$/.test(value) }

const PUT: Shape = {
  data: VALUE_DATA, type: is.whole(0, 0xffff), id: VALUE_ID, userType: USER_TYPE, sign: PRIVATE_KEY, seq: SEQUENCE, encryptTo: is.bytes,
  priority: is.whole(0, 0xffff_ffff), pushType: { allowed: `a well-formed text of at most ${MAX_PUSH_TYPE_BYTES} bytes`, test: (value) => isText(value, MAX_PUSH_TYPE_BYTES) },
}
const PACKED: Shape = { packed: { allowed: 'a Uint8Array', test: (value) => value instanceof Uint8Array } }
const FILTER: Shape = { decryptWith: PRIVATE_KEY, type: is.whole(0, 0xffff), userType: USER_TYPE }

/** @throws ERR_ARGUMENT */
export function checkDhtGet(key: unknown, options: unknown): void {
  checkArgument('key', key, KEY)
  checkOptions(options, { ...FILTER, id: VALUE_ID, ...OP })
}

/** @throws ERR_ARGUMENT */
export function checkDhtListen(key: unknown, options: unknown): void {
  checkArgument('key', key, KEY)
  checkOptions(options, { ...FILTER, signal: is.signal })
  checkArgument('signal', (options as { signal?: unknown } | undefined)?.signal, is.signal)
}

/** @throws ERR_ARGUMENT */
export function checkDhtPut(key: unknown, put: unknown, options: unknown): void {
  checkArgument('key', key, KEY)
  checkOptions(options, { permanent: is.boolean, ...OP })
  if (typeof put !== 'object' || put === null) throw argumentError('value', put === null ? 'null' : typeof put, 'an object with data or packed')
  const packed = 'packed' in put
  checkOptions(put, packed ? PACKED : PUT, 'value')
  if (packed) return checkArgument('value.packed', put.packed, is.bytes)
  const { data, sign, encryptTo, seq } = put as { data?: unknown; sign?: unknown; encryptTo?: unknown; seq?: unknown }
  checkArgument('value.data', data, VALUE_DATA)
  if (encryptTo !== undefined && sign === undefined) throw argumentError('value.encryptTo', 'no sign beside it', 'only together with sign, since encrypted values are signed')
  if (seq !== undefined && sign === undefined) throw argumentError('value.seq', 'no sign beside it', 'only together with sign')
}
