// RFC 4571 framing: a 16-bit length before every payload, for the whole life of the connection. Pure.
// docs/protocol/02 §2.6. Proof: wire/rfc4571.test.ts (every split point).
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

/**
 * Payloads out of a byte stream; holds at most one incomplete frame, in a buffer that grows with what comes and never with what is
 * declared. However the stream is cut, every byte is copied a bounded number of times. Empty frames are skipped.
 */
export class FrameDecoder {
  #high: number | undefined // the first byte of a length whose second one has not come
  #length = 0 // of the frame that is being filled; 0 = none
  #filled = 0
  #body: Uint8Array = new Uint8Array(0) // bounded by MAX_FRAME

  /** Payloads borrow from `chunk` where they can. */
  push(chunk: Uint8Array): Uint8Array[] {
    const out: Uint8Array[] = []
    let at = 0
    while (at < chunk.length) {
      if (this.#length === 0) {
        if (this.#high === undefined) {
          this.#high = chunk[at++] as number
          continue
        }
        this.#length = (this.#high << 8) | (chunk[at++] as number)
        this.#high = undefined
        if (chunk.length - at >= this.#length) {
          if (this.#length > 0) out.push(chunk.subarray(at, at + this.#length))
          at += this.#length
          this.#length = 0
        }
        continue
      }
      const part = chunk.subarray(at, at + this.#length - this.#filled)
      this.#take(part)
      at += part.length
      if (this.#filled < this.#length) break
      out.push(this.#body.subarray(0, this.#length))
      this.#body = new Uint8Array(0)
      this.#length = this.#filled = 0
    }
    return out
  }

  #take(part: Uint8Array): void {
    const filled = this.#filled + part.length
    if (filled > this.#body.length) {
      const grown = new Uint8Array(Math.min(this.#length, Math.max(1024, 2 * filled)))
      grown.set(this.#body.subarray(0, this.#filled))
      this.#body = grown
    }
    this.#body.set(part, this.#filled)
    this.#filled = filled
  }
}
