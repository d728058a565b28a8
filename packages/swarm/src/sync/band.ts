// The side-band of git sessions: pack data of ours as packets of band 1, and what a peer's packets cost it. docs/protocol/04 §4.3.
// Proof: sync/band.test.ts.
import { JamiError, limitError } from '@jamikit/core/base'
import { fromUtf8 } from '@jamikit/core/codec'
import { MAX_PKT, PACKET_OVERHEAD_BYTES } from '../defaults.ts'
import { FLUSH, lengthField } from './pkt-line.ts'

const HEAD_BYTES = 5

/** Collects bytes into packets as large as they may be, each in one write that is awaited. */
export class BandWriter {
  readonly #write: (packet: Uint8Array) => Promise<void>
  readonly #packet = new Uint8Array(MAX_PKT)
  #length = HEAD_BYTES
  /** Written so far, framing included. */
  bytes = 0

  /** @param write has to copy what it keeps */
  constructor(write: (packet: Uint8Array) => Promise<void>) {
    this.#write = write
  }

  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; ) {
      const piece = data.subarray(at, at + MAX_PKT - this.#length)
      this.#packet.set(piece, this.#length)
      this.#length += piece.length
      at += piece.length
      if (this.#length === MAX_PKT) await this.#send()
    }
  }

  async end(): Promise<void> {
    if (this.#length > HEAD_BYTES) await this.#send()
    this.bytes += FLUSH.length
    await this.#write(FLUSH)
  }

  async #send(): Promise<void> {
    this.#packet.set(lengthField(this.#length - HEAD_BYTES + 1))
    this.#packet[HEAD_BYTES - 1] = 1
    this.bytes += this.#length
    await this.#write(this.#packet.subarray(0, this.#length))
    this.#length = HEAD_BYTES
  }
}

/** Pack data out of a peer's packets. Each packet counts, also an empty one and one of progress. */
export class BandReader {
  readonly #allowed: number
  #counted = 0
  /** A packet of pack data was seen: no line of text may follow. */
  started = false

  constructor(allowed: number) {
    this.#allowed = allowed
  }

  /** @returns pack data; undefined when the packet is none (progress), 'text' when it is no packet of a band @throws ERR_LIMIT, ERR_REPO_INVALID when the peer tells of a failure */
  take(packet: Uint8Array): Uint8Array | 'text' | undefined {
    this.#counted += Math.max(packet.length, PACKET_OVERHEAD_BYTES)
    if (this.#counted > this.#allowed) throw limitError('fetched bytes', this.#counted, this.#allowed)
    const band = packet[0]
    if (band === 3) throw new JamiError('ERR_REPO_INVALID', `the peer failed: ${printable(packet.subarray(1))}`)
    if (band === 1) {
      this.started = true
      return packet.subarray(1)
    }
    return this.started || band === 2 ? undefined : 'text'
  }
}

/** What a peer says, short and without control characters. */
export function printable(bytes: Uint8Array): string {
  try {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be printed
    return fromUtf8(bytes.subarray(0, 200)).replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').trim()
  } catch {
    return `${bytes.length} bytes that are no text`
  }
}
