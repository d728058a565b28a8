// Git's packet lines: four hex digits of length, payload, `0000` as flush. Pure. docs/protocol/04 §4.3.
// Proof: sync/pkt-line.test.ts (every split point, refusal table, fuzz).
import { codecError, limitError } from '@jamikit/core/base'
import { concatBytes, fromUtf8, utf8 } from '@jamikit/core/codec'
import { MAX_PKT } from '../defaults.ts'

export const FLUSH: Uint8Array = utf8('0000')
/** Payload of a side-band packet. */
const BAND_BYTES = 65_515

export function pkt(payload: Uint8Array | string): Uint8Array {
  const bytes = typeof payload === 'string' ? utf8(payload) : payload
  return concatBytes(utf8((bytes.length + 4).toString(16).padStart(4, '0')), bytes)
}

/** Pack data as packets of band 1. */
export function* bandPackets(data: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < data.length; at += BAND_BYTES) yield pkt(concatBytes(Uint8Array.of(1), data.subarray(at, at + BAND_BYTES)))
}

export type Pkt = 'flush' | Uint8Array

/** Packets out of a byte stream; holds at most one incomplete packet. @throws ERR_CODEC, ERR_LIMIT */
export class PktDecoder {
  #rest: Uint8Array = new Uint8Array(0) // bounded by MAX_PKT

  push(chunk: Uint8Array): Pkt[] {
    const bytes = this.#rest.length > 0 ? concatBytes(this.#rest, chunk) : chunk
    const out: Pkt[] = []
    let at = 0
    while (at + 4 <= bytes.length) {
      const text = fromUtf8(bytes.subarray(at, at + 4), 'pkt length')
      if (!/^[0-9a-fA-F]{4}$/.test(text)) throw codecError('pkt length', JSON.stringify(text), 'four hex digits')
      const length = Number.parseInt(text, 16)
      if (length === 0) {
        out.push('flush')
        at += 4
        continue
      }
      if (length < 4) throw codecError('pkt length', length, '0 or at least 4')
      if (length > MAX_PKT) throw limitError('pkt length', length, MAX_PKT)
      if (at + length > bytes.length) break
      out.push(new Uint8Array(bytes.subarray(at + 4, at + length)))
      at += length
    }
    this.#rest = new Uint8Array(bytes.subarray(at))
    return out
  }
}

/** A packet as text without its line end. */
export function pktText(p: Uint8Array): string {
  return fromUtf8(p, 'pkt').replace(/\n$/, '')
}
