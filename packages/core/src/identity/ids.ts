// Identifiers parsed once, at the edge: after this file they are branded lower-case hex. Pure.
// docs/protocol/03 §1.1–1.3. Proof: identity/ids.test.ts.
import { codecError, JamiError } from '../base/errors.ts'
import { fromHex, toHex, utf8 } from '../codec/bytes.ts'
import type { AccountUri, ConversationId, DeviceId, InfoHash, MessageId } from '../contracts/ids.ts'
import { sha1, sha256 } from '../crypto/hash.ts'

const ACCOUNT = /^(?:(?:jami|ring|sips?):(?:\/\/)?)?([0-9a-f]{40})(?:@(?:ring|jami)\.dht)?$/i

/**
 * An account in any form that carries its 40 hex digits: bare, `jami:`, `ring:`, `sips:`, with or without `@ring.dht`.
 * @throws ERR_ADDRESS_INVALID
 */
export function parseAccountUri(text: string): AccountUri {
  const digits = typeof text === 'string' && text.length <= 100 ? ACCOUNT.exec(text)?.[1] : undefined
  if (digits === undefined)
    throw new JamiError('ERR_ADDRESS_INVALID', `account: got ${shown(text)}, allowed 40 hex digits, optionally after jami: or ring:`)
  return digits.toLowerCase() as AccountUri
}

/** @throws ERR_CODEC */
export function parseDeviceId(text: string): DeviceId {
  return hex(text, 64, 'device id') as DeviceId
}

/** @throws ERR_CODEC */
export function parseInfoHash(text: string): InfoHash {
  return hex(text, 40, 'info hash') as InfoHash
}

/** @throws ERR_CODEC */
export function parseConversationId(text: string): ConversationId {
  return hex(text, 40, 'conversation id') as ConversationId
}

/** @throws ERR_CODEC */
export function parseMessageId(text: string): MessageId {
  return hex(text, 40, 'message id') as MessageId
}

/** The account id of a key. @param spki SubjectPublicKeyInfo of the account key, DER */
export function accountUriOf(spki: Uint8Array): AccountUri {
  return toHex(sha1(spki)) as AccountUri
}

/** The device id of a key. @param spki SubjectPublicKeyInfo of the device key, DER */
export function deviceIdOf(spki: Uint8Array): DeviceId {
  return toHex(sha256(spki)) as DeviceId
}

/** SHA-1 of a SubjectPublicKeyInfo, as a DHT key. */
export function shortIdOf(spki: Uint8Array): InfoHash {
  return toHex(sha1(spki)) as InfoHash
}

/** SHA-1 of bytes, or of the UTF-8 form of a text. */
export function infoHashOf(input: Uint8Array | string): InfoHash {
  return toHex(sha1(typeof input === 'string' ? utf8(input) : input)) as InfoHash
}

/** Where a device's certificate chain is published: SHA-1 of the raw 32 bytes (spec 03 §2.5). */
export function certificateKey(device: DeviceId): InfoHash {
  return infoHashOf(fromHex(device))
}

/** Where connection requests for a device are put. */
export function peerKey(device: DeviceId): InfoHash {
  return infoHashOf(`peer:${device}`)
}

/** Where trust requests for a device are put. @param shortId of the device */
export function inboxKey(shortId: InfoHash): InfoHash {
  return infoHashOf(`inbox:${shortId}`)
}

function hex(text: string, length: number, field: string): string {
  if (typeof text !== 'string' || text.length !== length || !/^[0-9a-f]+$/i.test(text)) throw codecError(field, shown(text), `${length} hex digits`)
  return text.toLowerCase()
}

function shown(text: unknown): string {
  return typeof text === 'string' ? JSON.stringify(text.slice(0, 80)) : typeof text
}
