// Connection request and answer as they travel in a DHT value. Pure. docs/protocol/02 §1.2. Proof: wire/peer-request.test.ts.
import { asBool, asInt, asMap, asString, decodeMsgpack, encodeMsgpack } from '@jamikit/core/codec'

export const USER_TYPE = 'peer_request'
const MAX_BYTES = 16_384

export interface PeerRequest {
  /** 1 … 2^53-1 */
  readonly id: number
  readonly iceMessage: string
  readonly isAnswer: boolean
  readonly connType: string
}

export function encodePeerRequest(r: PeerRequest): Uint8Array {
  return encodeMsgpack({ id: r.id, ice_msg: r.iceMessage, isAnswer: r.isAnswer, connType: r.connType })
}

/** @throws ERR_CODEC, ERR_LIMIT */
export function decodePeerRequest(data: Uint8Array): PeerRequest {
  const map = asMap(decodeMsgpack(data, { maxDepth: 3, maxItems: 32, maxBytes: MAX_BYTES }), 'peer request')
  return {
    id: asInt(map.get('id'), 'id', 1),
    iceMessage: asString(map.get('ice_msg') ?? '', 'ice_msg', MAX_BYTES),
    isAnswer: asBool(map.get('isAnswer') ?? false, 'isAnswer'),
    connType: asString(map.get('connType') ?? '', 'connType', 256),
  }
}
