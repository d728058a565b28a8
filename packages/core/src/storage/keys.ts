// The alphabet of record keys and file paths, checked before anything touches a disk. contracts/storage.ts.
// Proof: storage/storage.test.ts with testing/suites/storage.ts.
import { JamiError, limitError } from '../base/errors.ts'
import type { StorageOp } from '../contracts/storage.ts'

const MAX_KEY = 512
/** Records are small state that is kept in memory; what is larger belongs into files. */
const MAX_RECORD_BYTES = 8 << 20
/** What sealing adds to a record. */
const MAX_SEAL_BYTES = 1024

export function isKey(key: unknown): key is string {
  return typeof key === 'string' && key.length <= MAX_KEY && /^[A-Za-z0-9._/-]+$/.test(key) && key.split('/').every((s) => s !== '' && s !== '.' && s !== '..')
}

/** @throws ERR_ARGUMENT unless 1 to 512 characters of `[A-Za-z0-9._/-]` without empty, `.` or `..` segments */
export function checkKey(key: string, field = 'storage key'): void {
  if (!isKey(key)) throw new JamiError('ERR_ARGUMENT', `${field}: got ${JSON.stringify(String(key).slice(0, 80))}, allowed 1 to ${MAX_KEY} of A-Z a-z 0-9 . _ / - without empty, . or .. segments`)
}

/** A prefix of keys: may be empty and may end anywhere. */
export function checkPrefix(prefix: string): void {
  if (typeof prefix !== 'string' || prefix.length > MAX_KEY || !/^[A-Za-z0-9._/-]*$/.test(prefix))
    throw new JamiError('ERR_ARGUMENT', `storage prefix: got ${JSON.stringify(String(prefix).slice(0, 80))}, allowed A-Z a-z 0-9 . _ / -`)
}

/** The changes of a batch, before anything of it happens. @throws ERR_ARGUMENT, ERR_LIMIT */
export function checkOps(ops: readonly StorageOp[]): void {
  for (const { key, value } of ops) {
    checkKey(key)
    if (value !== null && !(value instanceof Uint8Array)) throw new JamiError('ERR_ARGUMENT', `record ${key}: got ${typeof value}, allowed bytes or null`)
    const allowed = key.startsWith('seal/') ? MAX_RECORD_BYTES + MAX_SEAL_BYTES : MAX_RECORD_BYTES
    if (value !== null && value.length > allowed) throw limitError(`bytes of record ${key}`, value.length, allowed)
  }
}

/** @throws ERR_ARGUMENT unless both are whole numbers from 0 */
export function checkRange(range: { readonly start: number; readonly length: number }): void {
  checkSize(range.start, 'range start')
  checkSize(range.length, 'range length')
}

export function checkSize(size: number, field = 'file size'): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new JamiError('ERR_ARGUMENT', `${field}: got ${String(size)}, allowed a whole number from 0`)
}
