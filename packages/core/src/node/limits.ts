// Bounds of what programs may give, in one place; docs/guides/limits.md has them for readers. Proof: node/limits.test.ts.
import { MAX_DISPLAY_NAME } from '../account/account-record.ts'
import { type Check, is, OP, type Shape } from '../base/arguments.ts'

/** One text on the wire; the message itself is a git commit. */
export const MAX_TEXT_LENGTH = 65_536
export const MAX_KEY_LENGTH = 200
/** A reaction. */
export const MAX_EMOJI_LENGTH = 64
export const MAX_QUERY_LENGTH = 1000
export const MAX_TITLE_LENGTH = 1000
export const MAX_DESCRIPTION_LENGTH = 10_000
export const MAX_AVATAR_BYTES = 65_536
/** Invited when a group is made. */
export const MAX_INVITED = 500
export const MAX_PREFERENCES = 100
export const MAX_PREFERENCE_KEY = 100
export const MAX_PREFERENCE_LENGTH = 1000
/** Of a file that is sent. */
export const MAX_FILE_NAME_LENGTH = 255
export const MAX_LABEL_LENGTH = 100
export const MAX_NAME_LENGTH = MAX_DISPLAY_NAME
export const MAX_PASSWORD_LENGTH = 1024
export const MAX_PATH_LENGTH = 4096
export const MAX_ACCOUNTS = 1000
/** How long `close()` lets listeners and loops finish. */
export const GRACE_MS = 2000

export const LABEL = is.text(1, MAX_LABEL_LENGTH)
export const ACCOUNT_INIT: Shape = { ...OP, displayName: is.text(0, MAX_NAME_LENGTH), password: is.text(0, MAX_PASSWORD_LENGTH) }
/** Names of SDK protocols, before their scheme. */
export const PROTOCOL: Check = { allowed: '1 to 100 of A-Z a-z 0-9 . _ / -', test: (value) => typeof value === 'string' && /^[A-Za-z0-9._/-]{1,100}$/.test(value) }

const BYTES: Check = { allowed: `a Uint8Array of 1 to ${MAX_AVATAR_BYTES} bytes`, test: (value) => value instanceof Uint8Array && value.length > 0 && value.length <= MAX_AVATAR_BYTES, shown: is.bytes.shown as NonNullable<Check['shown']> }
/** One line. */
const line = (min: number, max: number): Check => ({ allowed: `one line of ${min} to ${max} characters without NUL`, test: (value) => is.text(min, max).test(value) && !/[\r\n]/.test(value as string) })
const orNull = (check: Check): Check => ({ ...check, allowed: `${check.allowed}, or null`, test: (value) => value === null || check.test(value) })
const GROUP = { title: line(1, MAX_TITLE_LENGTH), description: line(1, MAX_DESCRIPTION_LENGTH), avatar: BYTES }
export const GROUP_INIT: Shape = { ...OP, ...GROUP }
export const GROUP_CHANGE: Shape = { title: orNull(GROUP.title), description: orNull(GROUP.description), avatar: orNull(GROUP.avatar) }
