// The outer layers of an account archive: gzip, or salt ‖ AES-256-GCM of a zlib stream under a password or its key.
// Everything inflated is bounded; a wrong password and a broken file are different errors. docs/protocol/03 §3.1, §3.2.
// Proof: account/archive/archive.test.ts (captured archives, refusal table, fuzz).
import { promisify } from 'node:util'
import { deflate, gzip, unzip } from 'node:zlib'
import { JamiError, limitError } from '../../base/errors.ts'
import { concatBytes, fromUtf8, utf8 } from '../../codec/bytes.ts'
import type { Crypto } from '../../contracts/crypto.ts'
import type { Random } from '../../contracts/random.ts'
import { aesGcmOpen, aesGcmSeal } from '../../crypto/aes-gcm.ts'
import { sha256 } from '../../crypto/hash.ts'

/** How an archive is protected: by nothing, by a password, or by the 32-byte key that the password and salt give. */
export type ArchiveSecret = { readonly password: string } | { readonly key: Uint8Array } | undefined

export const MAX_FILE_BYTES = 64 << 20
export const MAX_INFLATED_BYTES = 64 << 20
const SALT_BYTES = 16
const IV_BYTES = 12
/** IV and tag. */
const MIN_SEALED_BYTES = 28
const KEY_BYTES = 32
const ARGON2 = { passes: 16, memoryKib: 65_536, lanes: 1, length: KEY_BYTES } as const

const inflateAny = promisify(unzip) as (bytes: Uint8Array, options: { maxOutputLength: number }) => Promise<Uint8Array>
const toGzip = promisify(gzip) as (bytes: Uint8Array) => Promise<Uint8Array>
const toZlib = promisify(deflate) as (bytes: Uint8Array) => Promise<Uint8Array>

/** The AES key of a password: SHA-256 of Argon2i. Takes about a second and 64 MiB. @throws ERR_ARGUMENT unless the salt has 16 bytes */
export async function archiveKey(crypto: Crypto, password: string, salt: Uint8Array): Promise<Uint8Array> {
  if (salt.length < 8) throw new JamiError('ERR_ARGUMENT', `archive salt: got ${salt.length} bytes, allowed at least 8`)
  return sha256(await crypto.argon2i(utf8(password), salt, ARGON2))
}

/** What opening showed, for writing it again. */
export interface OpenedContainer {
  readonly text: string
  /** Of a protected archive. */
  readonly salt: Uint8Array | undefined
  readonly key: Uint8Array | undefined
}

/**
 * Opens all layers. A secret that is given for a clear archive is not used.
 * @throws ERR_PASSWORD (wrong, or missing), ERR_ARCHIVE_INVALID, ERR_LIMIT
 */
export async function openContainer(crypto: Crypto, file: Uint8Array, secret: ArchiveSecret): Promise<OpenedContainer> {
  if (file.length > MAX_FILE_BYTES) throw limitError('archive file bytes', file.length, MAX_FILE_BYTES)
  const given = isGiven(secret)
  let bytes = file
  if (isGzip(file)) {
    const inner = await inflate(file)
    if (inner) bytes = inner
    else if (!given) throw invalid('a broken gzip stream')
    // with a secret it may be a salt that begins like gzip: go on with the bytes as they are
  }
  if (!given && isGzip(bytes)) bytes = (await inflate(bytes)) ?? refuse('a broken inner gzip stream')
  const clear = textOf(bytes)
  if (clear !== undefined) return { text: clear, salt: undefined, key: undefined }
  if (bytes.length <= SALT_BYTES + MIN_SEALED_BYTES) throw invalid(`${bytes.length} bytes that are no JSON`)
  if (!given) throw new JamiError('ERR_PASSWORD', 'the archive is protected (or not an archive): got no password')
  const salt = new Uint8Array(bytes.subarray(0, SALT_BYTES))
  const key = await keyOf(crypto, secret, salt)
  const packed = open(key, bytes.subarray(SALT_BYTES))
  const inflated = (await inflate(packed)) ?? refuse('an encrypted part that does not inflate')
  return { text: textOf(inflated) ?? refuse('an encrypted part that is no JSON'), salt, key }
}

export interface WriteContainerOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly secret?: ArchiveSecret
  /** Of the archive that is replaced: a kept key stays valid. Needed with a key. */
  readonly salt?: Uint8Array | undefined
}

/** gzip without secret, else salt ‖ IV ‖ ciphertext ‖ tag with a zlib stream inside. @throws ERR_ARGUMENT */
export async function writeContainer(text: string, options: WriteContainerOptions): Promise<Uint8Array> {
  const { secret, random } = options
  if (!isGiven(secret)) return plain(await toGzip(utf8(text)))
  if ('key' in secret && options.salt === undefined) throw new JamiError('ERR_ARGUMENT', 'archive salt: got none with a key, allowed the salt that belongs to the key')
  const salt = options.salt ?? random.bytes(SALT_BYTES)
  if (salt.length !== SALT_BYTES) throw new JamiError('ERR_ARGUMENT', `archive salt: got ${salt.length} bytes, allowed ${SALT_BYTES}`)
  const key = await keyOf(options.crypto, secret, salt)
  return concatBytes(salt, aesGcmSeal(key, await toZlib(utf8(text)), random.bytes(IV_BYTES)))
}

function isGiven(secret: ArchiveSecret): secret is NonNullable<ArchiveSecret> {
  return secret !== undefined && ('key' in secret || secret.password !== '')
}

async function keyOf(crypto: Crypto, secret: NonNullable<ArchiveSecret>, salt: Uint8Array): Promise<Uint8Array> {
  if (!('key' in secret)) return archiveKey(crypto, secret.password, salt)
  if (secret.key.length !== KEY_BYTES) throw new JamiError('ERR_ARGUMENT', `archive key: got ${secret.key.length} bytes, allowed ${KEY_BYTES}`)
  return secret.key
}

function open(key: Uint8Array, sealed: Uint8Array): Uint8Array {
  try {
    return aesGcmOpen(key, sealed)
  } catch (error) {
    throw new JamiError('ERR_PASSWORD', 'the archive does not open with this password', { cause: error })
  }
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes.length > 3 && bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8
}

/** zlib or gzip by its header; undefined when it is neither. @throws ERR_LIMIT */
async function inflate(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  try {
    return plain(await inflateAny(bytes, { maxOutputLength: MAX_INFLATED_BYTES }))
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw limitError('inflated archive bytes', MAX_INFLATED_BYTES + 1, MAX_INFLATED_BYTES)
    return undefined
  }
}

/** The bytes as text when they look like JSON: they begin with a brace. */
function textOf(bytes: Uint8Array): string | undefined {
  const first = bytes.find((byte) => byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)
  if (first !== 0x7b) return undefined
  try {
    return fromUtf8(bytes)
  } catch {
    return undefined
  }
}

function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

function invalid(got: string): JamiError {
  return new JamiError('ERR_ARCHIVE_INVALID', `account archive: got ${got}, allowed a gzip or password-protected JSON archive`)
}

function refuse(got: string): never {
  throw invalid(got)
}
