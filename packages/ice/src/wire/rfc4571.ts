// RFC 4571 framing: a 16-bit length before every payload, for the whole life of the connection. Pure.
// docs/protocol/02 §2.6. Proof: wire/rfc4571.test.ts (every split point).
import { limitError } from '@jamikit/core/base'

export const MAX_FRAME = 65_535

/** Payloads of at most `size` bytes, each behind its length, in one buffer. */
export function encodeFrames(bytes: Uint8Array | readonly Uint8Array[], size = MAX_FRAME): Uint8Array {
  const parts = bytes instanceof Uint8Array ? [bytes] : bytes
  let length = 0
  for (const part of parts) length += part.length + 2 * Math.ceil(part.length / size)
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    for (let from = 0; from < part.length; from += size) {
      const frame = part.subarray(from, from + size)
      out[at] = frame.length >> 8
      out[at + 1] = frame.length & 0xff
      out.set(frame, at + 2)
      at += frame.length + 2
    }
  }
  return out
}

/** Payloads out of a byte stream; holds at most one incomplete frame. Empty frames are skipped. */
export class FrameDecoder {
  #rest: Uint8Array = new Uint8Array(0) // bounded by MAX_FRAME + 2

  /** Payloads borrow from `chunk` where they can. */
  push(chunk: Uint8Array): Uint8Array[] {
    let bytes = chunk
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length)
      bytes.set(this.#rest)
      bytes.set(chunk, this.#rest.length)
    }
    const out: Uint8Array[] = []
    let at = 0
    while (at + 2 <= bytes.length) {
      const length = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
      if (at + 2 + length > bytes.length) break
      if (length > 0) out.push(bytes.subarray(at + 2, at + 2 + length))
      at += 2 + length
    }
    this.#rest = bytes.slice(at)
    if (this.#rest.length > MAX_FRAME + 2) throw limitError('frame', this.#rest.length, MAX_FRAME)
    return out
  }
}
