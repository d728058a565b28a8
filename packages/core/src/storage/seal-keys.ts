// Keys of a sealed storage, all from the owner's 32 bytes and the salt of the profile (HKDF-SHA-256), and names that nobody reads:
// record keys as HMACs, segments of paths encrypted so that the same name gives the same bytes (a synthetic IV, then AES-256-CTR), as
// directories must still be found and listed. docs/guides/storage.md. Proof: storage/sealed-storage.test.ts.
import { createCipheriv, createDecipheriv, getRandomValues, hkdfSync } from 'node:crypto'
import { JamiError } from '../base/errors.ts'
import { concatBytes, equalBytes, fromUtf8, toHex, utf8 } from '../codec/bytes.ts'
import { sha256 } from '../crypto/hash.ts'

/** 32 bytes, or what gives them (from a key ring, for example). */
export type EncryptionKey = Uint8Array | (() => Uint8Array | Promise<Uint8Array>)

const KEY_BYTES = 32
const MAGIC = utf8('jamikit sealed 1\n')
const SALT_BYTES = 32
const NAME_TAG_BYTES = 12
/** Sealed names remembered: most segments of paths come again and again. */
const MAX_NAMES = 2048
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** HMAC-SHA-256 with a key of 32 bytes. Two one-shot hashes: a fifth of the time of createHmac for what is short. */
export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const inner = new Uint8Array(64).fill(0x36)
  const outer = new Uint8Array(64).fill(0x5c)
  for (let i = 0; i < key.length; i++) {
    inner[i] = (key[i] as number) ^ 0x36
    outer[i] = (key[i] as number) ^ 0x5c
  }
  return sha256(concatBytes(outer, sha256(concatBytes(inner, ...parts))))
}

/** nonce (12) ‖ ciphertext ‖ tag (16), AES-256-GCM. */
export function sealBytes(key: Uint8Array, plain: Uint8Array, bound: Uint8Array): Uint8Array {
  const nonce = getRandomValues(new Uint8Array(NONCE_BYTES))
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(bound)
  return concatBytes(nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag())
}

/** Undefined when it does not open. */
export function openBytes(key: Uint8Array, sealed: Uint8Array, bound: Uint8Array): Uint8Array | undefined {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined
  const cipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES))
  cipher.setAAD(bound)
  cipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
  const body = cipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES))
  try {
    return concatBytes(body, cipher.final())
  } catch {
    return undefined
  }
}

/** @throws ERR_ARGUMENT unless it is 32 bytes or a function; without telling what was got */
export function checkEncryptionKey(key: unknown): asserts key is EncryptionKey {
  if (typeof key === 'function' || (key instanceof Uint8Array && key.length === KEY_BYTES)) return
  const got = key instanceof Uint8Array ? `${key.length} bytes` : typeof key
  throw new JamiError('ERR_ARGUMENT', `encryptionKey: got ${got}, allowed ${KEY_BYTES} bytes or a function that gives them`, { details: { field: 'encryptionKey', got, allowed: KEY_BYTES } })
}

export class SealKeys {
  readonly #recordNames: Uint8Array
  readonly #records: Uint8Array
  readonly #nameTags: Uint8Array
  readonly #names: Uint8Array
  readonly #sealedNames = new Map<string, string>() // bounded by MAX_NAMES
  readonly files: Uint8Array

  private constructor(key: Uint8Array, salt: Uint8Array) {
    const derive = (what: string) => new Uint8Array(hkdfSync('sha256', key, salt, utf8(`jamikit sealed 1 ${what}`), KEY_BYTES))
    this.#recordNames = derive('record names')
    this.#records = derive('records')
    this.#nameTags = derive('name tags')
    this.#names = derive('names')
    this.files = derive('files')
  }

  /** For a new profile: its keys, and what must be kept in clear to find them again. */
  static make(key: Uint8Array): { keys: SealKeys; header: Uint8Array } {
    const salt = getRandomValues(new Uint8Array(SALT_BYTES))
    const head = concatBytes(MAGIC, salt)
    return { keys: new SealKeys(key, salt), header: concatBytes(head, sealBytes(checkKeyOf(key, salt), utf8('the right key'), head)) }
  }

  /** @throws ERR_PASSWORD for another key, ERR_STORAGE_CORRUPT when the header is none */
  static open(key: Uint8Array, header: Uint8Array): SealKeys {
    const head = header.subarray(0, MAGIC.length + SALT_BYTES)
    if (head.length < MAGIC.length + SALT_BYTES || !equalBytes(head.subarray(0, MAGIC.length), MAGIC)) throw new JamiError('ERR_STORAGE_CORRUPT', 'sealed storage: its header cannot be read')
    const salt = head.subarray(MAGIC.length)
    if (!openBytes(checkKeyOf(key, salt), header.subarray(head.length), head)) throw new JamiError('ERR_PASSWORD', 'encryptionKey: it is not the key this profile was sealed with')
    return new SealKeys(key, salt)
  }

  recordName(kind: string, key: string): string {
    return `seal/${kind}/${toHex(hmac(this.#recordNames, utf8(`${kind}\n${key}`)).subarray(0, 16))}`
  }

  /** salt (16) ‖ sealed (key length u16 ‖ key ‖ value), under a key of its own, bound to the place where it is kept. */
  sealRecord(name: string, key: string, value: Uint8Array): Uint8Array {
    const salt = getRandomValues(new Uint8Array(16))
    const text = utf8(key)
    return concatBytes(salt, sealBytes(hmac(this.#records, salt, utf8(name)), concatBytes(Uint8Array.of(text.length >> 8, text.length & 255), text, value), utf8(name)))
  }

  openRecord(name: string, sealed: Uint8Array): { key: string; value: Uint8Array } | undefined {
    const salt = sealed.subarray(0, 16)
    const plain = openBytes(hmac(this.#records, salt, utf8(name)), sealed.subarray(16), utf8(name))
    if (!plain) return undefined
    const end = 2 + (((plain[0] as number) << 8) | (plain[1] as number))
    return { key: fromUtf8(plain.subarray(2, end), 'record key'), value: plain.slice(end) }
  }

  sealPath(path: string): string {
    return path.split('/').map((segment) => this.#sealName(segment)).join('/')
  }

  #sealName(segment: string): string {
    const known = this.#sealedNames.get(segment)
    if (known !== undefined) return known
    const text = utf8(segment)
    const tag = hmac(this.#nameTags, text).subarray(0, NAME_TAG_BYTES)
    const cipher = createCipheriv('aes-256-ctr', this.#names, concatBytes(tag, new Uint8Array(4)))
    const name = Buffer.concat([tag, cipher.update(text), cipher.final()]).toString('base64url')
    if (this.#sealedNames.size >= MAX_NAMES) this.#sealedNames.clear()
    this.#sealedNames.set(segment, name)
    return name
  }

  /** Undefined for a name that was not made here. */
  openName(name: string): string | undefined {
    const bytes = new Uint8Array(Buffer.from(name, 'base64url'))
    const tag = bytes.subarray(0, NAME_TAG_BYTES)
    if (bytes.length <= NAME_TAG_BYTES) return undefined
    const cipher = createDecipheriv('aes-256-ctr', this.#names, concatBytes(tag, new Uint8Array(4)))
    const text = concatBytes(cipher.update(bytes.subarray(NAME_TAG_BYTES)), cipher.final())
    return equalBytes(hmac(this.#nameTags, text).subarray(0, NAME_TAG_BYTES), tag) ? fromUtf8(text, 'file name') : undefined
  }
}

function checkKeyOf(key: Uint8Array, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, salt, utf8('jamikit sealed 1 check'), KEY_BYTES))
}
