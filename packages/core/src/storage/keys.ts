// The alphabet of record keys and file paths, checked before anything touches a disk. contracts/storage.ts.
// Proof: storage/storage.test.ts with testing/suites/storage.ts.
import { JamiError } from '../base/errors.ts'

const MAX_KEY = 512

/** @throws ERR_ARGUMENT unless 1 to 512 characters of `[A-Za-z0-9._/-]` without empty, `.` or `..` segments */
export function checkKey(key: string, field = 'storage key'): void {
  const ok = typeof key === 'string' && key.length <= MAX_KEY && /^[A-Za-z0-9._/-]+$/.test(key) && key.split('/').every((s) => s !== '' && s !== '.' && s !== '..')
  if (!ok) throw new JamiError('ERR_ARGUMENT', `${field}: got ${JSON.stringify(String(key).slice(0, 80))}, allowed 1 to ${MAX_KEY} of A-Z a-z 0-9 . _ / - without empty, . or .. segments`)
}

/** A prefix of keys: may be empty and may end anywhere. */
export function checkPrefix(prefix: string): void {
  if (typeof prefix !== 'string' || prefix.length > MAX_KEY || !/^[A-Za-z0-9._/-]*$/.test(prefix))
    throw new JamiError('ERR_ARGUMENT', `storage prefix: got ${JSON.stringify(String(prefix).slice(0, 80))}, allowed A-Z a-z 0-9 . _ / -`)
}
