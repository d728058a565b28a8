// A contact request or its confirmation as it travels inside an encrypted DHT value of type 4. Pure.
// docs/protocol/03 §5.4. Proof: account/codecs.test.ts.
import { asBool, asBytes, asInt, asMap, asString } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack } from '../codec/msgpack.ts'
import type { ConversationId } from '../contracts/ids.ts'
import { parseConversationId } from '../identity/ids.ts'

/** DHT value type of trust requests. */
export const TRUST_REQUEST_TYPE = 4
/** A payload of this size or more is sent empty. */
export const MAX_PAYLOAD_BYTES = 64_000
const SERVICE = 'cx.ring'

export interface TrustRequestMessage {
  /** Undefined from very old peers. */
  readonly conversation: ConversationId | undefined
  /** vCard text of the sender, maybe empty. */
  readonly payload: Uint8Array
  /** True: the sender has accepted us. */
  readonly confirm: boolean
  /** When the invitation was first issued, Unix milliseconds; 0 = not told. */
  readonly invitedMs: number
}

export function encodeTrustRequest(m: TrustRequestMessage): Uint8Array {
  return encodeMsgpack({ service: SERVICE, conversationId: m.conversation ?? '', payload: m.payload, confirm: m.confirm, invitedMs: m.invitedMs })
}

/** Undefined when it is for another service. @throws ERR_CODEC, ERR_LIMIT */
export function decodeTrustRequest(data: Uint8Array): TrustRequestMessage | undefined {
  const map = asMap(decodeMsgpack(data, { maxDepth: 3, maxItems: 64, maxBytes: 1 << 16 }), 'trust request')
  if (asString(map.get('service') ?? '', 'service', 64) !== SERVICE) return undefined
  const conversation = asString(map.get('conversationId') ?? '', 'conversationId', 64)
  return {
    conversation: conversation === '' ? undefined : parseConversationId(conversation),
    payload: asBytes(map.get('payload') ?? new Uint8Array(0), 'payload', { max: 1 << 16 }),
    confirm: asBool(map.get('confirm') ?? false, 'confirm'),
    invitedMs: asInt(map.get('invitedMs') ?? 0, 'invitedMs', 0, Number.MAX_SAFE_INTEGER),
  }
}
