// Bounds of what programs may give, in one place; docs/guides/limits.md has them for readers. Proof: node/limits.test.ts.
import { MAX_DISPLAY_NAME } from '../account/account-record.ts'
import { type Check, is, OP, type Shape } from '../base/arguments.ts'

/** One text on the wire; the message itself is a git commit. */
export const MAX_TEXT_LENGTH = 65_536
export const MAX_KEY_LENGTH = 200
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
