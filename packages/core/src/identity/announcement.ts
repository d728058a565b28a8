// The announcement of a device: a DHT value signed by the account key that names the device and its key.
// docs/protocol/03 §2.6.2, 01 §4.1–4.3. Proof: identity/receipt.test.ts (captured receipts, refusal table, fuzz).
import { codecError, JamiError } from '../base/errors.ts'
import { equalBytes, fromHex, toHex } from '../codec/bytes.ts'
import { asBytes, asInt, asMap } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack, MsgpackRaw } from '../codec/msgpack.ts'
import { sliceMsgpackMap } from '../codec/slices.ts'
import type { Crypto } from '../contracts/crypto.ts'
import type { PrivateKey } from '../contracts/identity.ts'
import type { AccountUri, DeviceId, InfoHash } from '../contracts/ids.ts'
import { accountUriOf, deviceIdOf, parseInfoHash, shortIdOf } from './ids.ts'

const MAX_BYTES = 8192
const MAX_SPKI_BYTES = 1100

/** What an announcement says. */
export interface DeviceAnnouncement {
  /** SHA-1 of the device key. */
  readonly deviceShortId: InfoHash
  /** Absent in announcements of 2021 and before. */
  readonly device?: { readonly deviceId: DeviceId; readonly publicKey: Uint8Array }
}

/** DATA of the value. */
export function encodeAnnouncementData(devicePublicKey: Uint8Array): Uint8Array {
  return encodeMsgpack({ dev: fromHex(shortIdOf(devicePublicKey)), pk: devicePublicKey })
}

/** @throws ERR_CODEC when it is not a map with `dev` (20 bytes), or `pk` is not the key of that device */
export function parseAnnouncementData(data: Uint8Array): DeviceAnnouncement {
  const map = asMap(decodeMsgpack(data, { maxDepth: 2, maxItems: 16, maxBytes: MAX_BYTES }), 'announcement')
  const deviceShortId = parseInfoHash(toHex(asBytes(map.get('dev'), 'announcement dev', { length: 20 })))
  if (!map.has('pk')) return { deviceShortId }
  const publicKey = asBytes(map.get('pk'), 'announcement pk', { max: MAX_SPKI_BYTES })
  if (shortIdOf(publicKey) !== deviceShortId) throw codecError('announcement dev', deviceShortId, 'the SHA-1 of pk')
  return { deviceShortId, device: { deviceId: deviceIdOf(publicKey), publicKey } }
}

/** The packed DHT value, signed by the account key; its id is 0 (the DHT replaces it), its priority 1. */
export async function makeAnnouncement(crypto: Crypto, options: { accountKey: PrivateKey; devicePublicKey: Uint8Array }): Promise<Uint8Array> {
  const body = encodeMsgpack({ seq: 0, owner: options.accountKey.publicKey, type: 0, data: encodeAnnouncementData(options.devicePublicKey) })
  const sig = await crypto.sign(options.accountKey, body)
  return encodeMsgpack({ id: 0, dat: new MsgpackRaw(encodeMsgpack({ body: new MsgpackRaw(body), sig })), p: 1 })
}

/** Opens a packed announcement and checks its signature over the bytes as they came. @throws ERR_CODEC, ERR_LIMIT, ERR_SIGNATURE */
export async function verifyAnnouncement(crypto: Crypto, packed: Uint8Array): Promise<DeviceAnnouncement & { accountId: AccountUri }> {
  const limits = { maxDepth: 6, maxItems: 64, maxBytes: MAX_BYTES }
  const value = sliceMsgpackMap(packed, limits)
  const signed = sliceMsgpackMap(field(value, 'dat'), limits)
  const body = field(signed, 'body')
  const fields = asMap(decodeMsgpack(body, limits), 'announcement body')
  const owner = asBytes(fields.get('owner'), 'announcement owner', { max: MAX_SPKI_BYTES })
  const signature = asBytes(decodeMsgpack(field(signed, 'sig'), limits), 'announcement sig', { max: 1024 })
  asInt(fields.get('type'), 'announcement type', 0, 0)
  if (!(await crypto.verify(owner, body, signature))) throw new JamiError('ERR_SIGNATURE', 'the announcement is not signed by its owner')
  return { accountId: accountUriOf(owner), ...parseAnnouncementData(asBytes(fields.get('data'), 'announcement data', { max: MAX_BYTES })) }
}

/** True when both announce the same device key. */
export function sameDevice(announcement: DeviceAnnouncement, devicePublicKey: Uint8Array): boolean {
  return announcement.device !== undefined && equalBytes(announcement.device.publicKey, devicePublicKey)
}

function field(map: Map<string, Uint8Array>, name: string): Uint8Array {
  const bytes = map.get(name)
  if (!bytes) throw codecError(`announcement ${name}`, 'nothing', 'a value')
  return bytes
}
