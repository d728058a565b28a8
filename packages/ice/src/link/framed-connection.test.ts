// The framed stream: STUN apart, data kept until somebody reads, both for the whole life of the connection.
import { once } from 'node:events'
import { AsyncQueue } from '@jamikit/core/base'
import { concatBytes } from '@jamikit/core/codec'
import type { StreamSocket } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { MAX_PENDING_STUN } from '../defaults.ts'
import { encodeFrames, FrameDecoder } from '../wire/rfc4571.ts'
import { BINDING_INDICATION, encodeStun } from '../wire/stun.ts'
import { FramedConnection } from './framed-connection.ts'

const STUN = encodeStun({ type: BINDING_INDICATION, transaction: new Uint8Array(12) })

function socket() {
  const queue = new AsyncQueue<Uint8Array>(100_000)
  const written: Uint8Array[] = []
  const state = { aborted: false, closed: false, taken: 0, blocked: false }
  const stream: StreamSocket = {
    local: { host: '10.0.0.1', port: 1, family: 4 },
    remote: { host: '10.0.0.2', port: 2, family: 4 },
    write: async (bytes) => {
      written.push(bytes.slice())
      if (state.blocked) await new Promise<never>(() => {})
    },
    close: async () => {
      state.closed = true
      queue.end()
    },
    abort: () => {
      state.aborted = true
      queue.end()
    },
    async *[Symbol.asyncIterator]() {
      for await (const bytes of queue) {
        state.taken += bytes.length
        yield bytes
      }
    },
  }
  const connection = new FramedConnection(stream)
  connection.verified = true
  const stun: Uint8Array[] = []
  connection.onStun = (frame) => stun.push(frame.slice())
  return { queue, written, state, connection, stun, running: connection.run() }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('framed connection', () => {
  it('ICE-14 takes STUN out of the stream and gives everything else on, whatever the segments', async () => {
    const t = socket()
    const data = Buffer.from('tls bytes and more tls bytes')
    const wire = concatBytes(encodeFrames(data.subarray(0, 5)), encodeFrames(STUN), encodeFrames(data.subarray(5)), encodeFrames(STUN))
    for (const byte of wire) t.queue.push(Uint8Array.of(byte))
    t.queue.end()
    const got: Buffer[] = []
    for await (const chunk of t.connection) got.push(chunk as Buffer)
    expect(Buffer.concat(got).toString()).toBe(data.toString())
    expect(t.stun).toEqual([STUN, STUN])
  })

  it('ICE-23 keeps data that comes before anybody reads, and goes on with STUN behind it', async () => {
    const t = socket()
    t.queue.push(concatBytes(encodeFrames(Buffer.from('early')), encodeFrames(STUN)))
    await turn()
    expect(t.stun.length).toBe(1)
    const [chunk] = (await once(t.connection, 'data')) as [Buffer]
    expect(chunk.toString()).toBe('early')
    t.connection.destroy()
    await t.running
  })

  it('ICE-41 stops reading the socket when nobody takes the data', async () => {
    const t = socket()
    for (let i = 0; i < 100; i++) t.queue.push(encodeFrames(new Uint8Array(16_384)))
    for (let i = 0; i < 20; i++) await turn()
    expect(t.state.taken).toBeLessThan(400_000)
    t.connection.destroy()
    await t.running
  })

  it('data before the other end has proved itself ends the connection; checks do not', async () => {
    const t = socket()
    t.connection.verified = false
    t.queue.push(encodeFrames(STUN))
    await turn()
    expect([t.stun.length, t.connection.destroyed]).toEqual([1, false])
    t.queue.push(encodeFrames(Buffer.from('GET / HTTP/1.1')))
    await t.running
    expect([t.connection.destroyed, t.state.aborted]).toEqual([true, true])
  })

  it('frames of one byte that nobody reads are held as bytes, not as objects', async () => {
    const t = socket()
    for (let i = 0; i < 60_000; i += 100) t.queue.push(concatBytes(...Array.from({ length: 100 }, (_, k) => Uint8Array.of(0, 1, (i + k) & 0xff))))
    for (let i = 0; i < 20; i++) await turn()
    const { buffer } = (t.connection as unknown as { _readableState: { buffer: unknown[] } })._readableState
    expect(buffer.length).toBeLessThanOrEqual(16 * 1024)
    let got = 0
    t.connection.on('data', (chunk: Buffer) => {
      for (const byte of chunk) if (byte !== (got++ & 0xff)) throw new Error(`byte ${got - 1} is ${byte}`)
    })
    t.queue.end()
    await once(t.connection, 'close')
    expect(got).toBe(60_000)
  })

  it('STUN to a peer that does not read is dropped beyond a few messages', async () => {
    const t = socket()
    t.state.blocked = true
    for (let i = 0; i < 10_000; i++) t.connection.sendStun(STUN)
    expect(t.written.length).toBe(MAX_PENDING_STUN)
    t.connection.destroy()
    await t.running
  })

  it('what looks almost like STUN is data', async () => {
    const t = socket()
    const almost = STUN.slice()
    almost[3] = 9
    t.queue.push(concatBytes(encodeFrames(almost), encodeFrames(STUN.map((b, i) => (i === 0 ? 0x40 : b)))))
    const [chunk] = (await once(t.connection, 'data')) as [Buffer]
    expect([chunk.length, t.stun.length]).toEqual([2 * STUN.length, 0])
    t.connection.destroy()
    await t.running
  })

  it('writes frames that hold one TLS record each, in order', async () => {
    const t = socket()
    const big = Buffer.alloc(100_000, 1)
    t.connection.write(Buffer.from('a'))
    t.connection.write(big)
    t.connection.sendStun(STUN)
    await turn()
    await turn()
    const frames = t.written.flatMap((bytes) => new FrameDecoder().push(bytes))
    expect(frames.every((frame) => frame.length <= 16_640)).toBe(true)
    expect(frames.reduce((sum, frame) => sum + frame.length, 0)).toBe(1 + big.length + STUN.length)
    t.connection.destroy()
    await t.running
  })

  it('ends with its socket, and its socket with it', async () => {
    const a = socket()
    a.connection.resume()
    a.queue.end()
    await once(a.connection, 'close')
    expect(a.state.closed).toBe(true)
    const b = socket()
    b.connection.destroy(new Error('no more'))
    await new Promise((resolve) => b.connection.once('close', resolve))
    expect(b.state.aborted).toBe(true)
    await b.running
  })
})
