// Frames of the message channel: a stream of msgpack maps. Pure.
// docs/protocol/03 §7.1, 04 §4.5.1. Proof: account/codecs.test.ts (captures, every split point, fuzz).
import { codecError } from '../base/errors.ts'
import { asMap, asString } from '../codec/fields.ts'
import { encodeMsgpack, MsgpackStream } from '../codec/msgpack.ts'

/** Text of one message, bytes. */
export const MAX_BODY_BYTES = 64_000
/** One frame with its keys and MIME type. */
const MAX_FRAME_BYTES = MAX_BODY_BYTES + 2048

export interface MessageFrame {
  readonly mime: string
  readonly body: string
}

/** @param id any number; receivers ignore it */
export function encodeMessageFrame(id: bigint, frame: MessageFrame): Uint8Array {
  return encodeMsgpack({ id, t: frame.mime, c: frame.body, req: null })
}

/** Frames out of channel bytes, in order. @throws ERR_CODEC, ERR_LIMIT: the channel cannot be read further */
export class MessageFrameDecoder {
  readonly #stream = new MsgpackStream(MAX_FRAME_BYTES, { maxDepth: 6, maxItems: 256, maxBytes: MAX_FRAME_BYTES })

  push(chunk: Uint8Array): MessageFrame[] {
    return this.#stream.push(chunk).map((value) => {
      const map = asMap(value, 'message')
      const mime = asString(map.get('t'), 'message type', 256)
      if (!/^[\x21-\x7e ]+$/.test(mime)) throw codecError('message type', 'control characters', 'printable ASCII')
      return { mime, body: asString(map.get('c'), 'message text', MAX_BODY_BYTES) }
    })
  }
}
