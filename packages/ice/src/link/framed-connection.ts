// A TCP connection as ICE uses it: frames in, STUN to the agent, everything else to TLS as a Node stream. Lives as long as the link.
// docs/protocol/02 §2.6. Proof: link/framed-connection.test.ts.
import { Duplex } from 'node:stream'
import { JamiError } from '@jamikit/core/base'
import type { StreamSocket } from '@jamikit/core/contracts'
import { encodeFrames, FrameDecoder } from '../wire/rfc4571.ts'
import { isStun } from '../wire/stun.ts'

/** Payload of one outgoing frame: a TLS record fits. */
const FRAME_BYTES = 16_640
const BUFFER_BYTES = 256 * 1024

export class FramedConnection extends Duplex {
  readonly socket: StreamSocket
  #resume: (() => void) | undefined
  bytesIn = 0
  bytesOut = 0
  /** Set by the owner before `read`; called with every STUN frame. */
  onStun: (frame: Uint8Array) => void = () => {}

  constructor(socket: StreamSocket) {
    super({ allowHalfOpen: false, readableHighWaterMark: BUFFER_BYTES, writableHighWaterMark: BUFFER_BYTES })
    this.socket = socket
    this.on('error', () => {}) // told through 'close'; nobody else may be listening yet
  }

  /** Reads until the end of the connection; what the reader does not take stops the reading. */
  async run(): Promise<void> {
    const decoder = new FrameDecoder()
    try {
      for await (const chunk of this.socket) {
        this.bytesIn += chunk.length
        for (const frame of decoder.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length))) {
          if (isStun(frame)) this.onStun(frame)
          else if (!this.push(frame)) {
            await new Promise<void>((resolve) => {
              this.#resume = resolve
            })
          }
        }
        if (this.destroyed) return
      }
      this.push(null)
    } catch (error) {
      this.destroy(JamiError.from(error, 'ERR_LINK_LOST'))
    }
  }

  sendStun(message: Uint8Array): void {
    const frame = encodeFrames(message)
    this.bytesOut += frame.length
    this.socket.write(frame).catch(() => {}) // a broken connection is noticed by its reader
  }

  override _read(): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send(encodeFrames(chunk, FRAME_BYTES), done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(encodeFrames(chunks.map((c) => c.chunk), FRAME_BYTES), done)
  }

  #send(frames: Uint8Array, done: (error?: Error | null) => void): void {
    this.bytesOut += frames.length
    this.socket.write(frames).then(() => done(), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
    if (error) this.socket.abort(error)
    else this.socket.close().catch(() => {})
    done(error)
  }
}
