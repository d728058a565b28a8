// A TCP connection as ICE uses it: frames in, STUN to the agent, everything else to TLS as a Node stream. Lives as long as the link.
// docs/protocol/02 §2.6. Proof: link/framed-connection.test.ts.
import { Duplex } from 'node:stream'
import { JamiError } from '@jamikit/core/base'
import type { StreamSocket } from '@jamikit/core/contracts'
import { MAX_PENDING_STUN } from '../defaults.ts'
import { encodeFrames, FrameDecoder } from '../wire/rfc4571.ts'
import { isStun } from '../wire/stun.ts'

/** Payload of one outgoing frame: a TLS record fits. */
const FRAME_BYTES = 16_640
const BUFFER_BYTES = 256 * 1024
/** What waits in the stream itself, in pieces of any size; what comes then is gathered in one buffer. */
const READ_BYTES = 16 * 1024

export class FramedConnection extends Duplex {
  readonly socket: StreamSocket
  #resume: (() => void) | undefined
  #gathered: Uint8Array = new Uint8Array(0) // bounded by BUFFER_BYTES + one frame
  #gatheredBytes = 0
  /** The reader has asked, and nothing was there. */
  #wanted = false
  #over = false
  #pendingStun = 0 // bounded by MAX_PENDING_STUN
  bytesIn = 0
  bytesOut = 0
  /** Set by the owner when the other end has proved itself; data that comes before ends the connection. */
  verified = false
  /** Set by the owner before `read`; called with every STUN frame. */
  onStun: (frame: Uint8Array) => void = () => {}
  /** Set by the owner: the system has taken a write, so the peer takes what we send. */
  onSent: () => void = () => {}

  constructor(socket: StreamSocket) {
    super({ allowHalfOpen: false, readableHighWaterMark: READ_BYTES, writableHighWaterMark: BUFFER_BYTES })
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
          else if (!this.verified) throw new JamiError('ERR_CODEC', 'connection: got data, allowed a STUN check first')
          else this.#take(frame)
        }
        if (this.#gatheredBytes >= BUFFER_BYTES && !this.destroyed) {
          await new Promise<void>((resolve) => {
            this.#resume = resolve
          })
        }
        if (this.destroyed) return
      }
      this.#over = true
      if (this.#gatheredBytes === 0) this.push(null)
    } catch (error) {
      this.destroy(JamiError.from(error, 'ERR_LINK_LOST'))
    }
  }

  /** A message, unless so many wait already that the peer cannot be reading. */
  sendStun(message: Uint8Array): void {
    if (this.#pendingStun >= MAX_PENDING_STUN) return
    const frame = encodeFrames(message)
    this.bytesOut += frame.length
    this.#pendingStun++
    const done = () => {
      this.#pendingStun--
    }
    this.socket.write(frame).then(done, done) // a broken connection is noticed by its reader
  }

  #take(frame: Uint8Array): void {
    if (this.#wanted) {
      this.#wanted = false
      this.push(frame)
      return
    }
    const bytes = this.#gatheredBytes + frame.length
    if (bytes > this.#gathered.length) {
      const grown = new Uint8Array(Math.max(1024, 2 * bytes))
      grown.set(this.#gathered.subarray(0, this.#gatheredBytes))
      this.#gathered = grown
    }
    this.#gathered.set(frame, this.#gatheredBytes)
    this.#gatheredBytes = bytes
  }

  override _read(): void {
    if (this.#gatheredBytes === 0) {
      this.#wanted = true
      return
    }
    const bytes = this.#gathered.subarray(0, this.#gatheredBytes)
    this.#gathered = new Uint8Array(0)
    this.#gatheredBytes = 0
    this.push(bytes)
    if (this.#over) this.push(null)
    this.#wake()
  }

  #wake(): void {
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
    this.socket.write(frames).then(() => {
      this.onSent()
      done()
    }, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#wake()
    if (error) this.socket.abort(error)
    else this.socket.close().catch(() => {})
    done(error)
  }
}
