// A channel as a Node Duplex and as Web Streams: bytes, back-pressure, ends and errors. The channel is the one in memory.
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { channelPair } from '../testing/channel-pair.ts'
import { testIdentity, testPeer } from '../testing/test-identities.ts'
import { channelName, channelStream, protocolOf } from './channel-stream.ts'

const peers = [testPeer(testIdentity(0)), testPeer(testIdentity(1))] as const

function pair() {
  const [a, b] = channelPair({ name: channelName('echo/1'), peers })
  return { wire: a, other: b, stream: channelStream(a), far: channelStream(b) }
}

/** Bytes that are different everywhere. */
const bytes = (length: number) => Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff))

describe('names of protocols', () => {
  it.each(['echo', 'a/b.c-d_1', 'x'.repeat(100)])('%s is one', (name) => expect(protocolOf(channelName(name))).toBe(name))
  it.each(['', 'a b', 'ä', 'x'.repeat(101), 'a:b', '../', 7, null])('%s is none', (name) => {
    if (name === '../') expect(protocolOf(channelName(name))).toBe('../')
    else expect(() => channelName(name as string)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })
})

describe('a channel as a Duplex', () => {
  it('knows its protocol and the other device', () => {
    const { stream } = pair()
    expect([stream.protocol, stream.remote]).toEqual(['echo/1', { uri: peers[1].accountId, device: peers[1].deviceId }])
    stream.destroy()
  })

  it.each([1, 1000, 65_535, 65_536, 200_000, 3_000_000])('carries %i bytes, and end() ends both directions', async (size) => {
    const { stream, far } = pair()
    const sent = bytes(size)
    const [got, back] = [buffer(far), buffer(stream)]
    await pipeline(Readable.from([sent]), stream)
    expect((await got).equals(sent)).toBe(true)
    expect([(await back).length, stream.destroyed, far.destroyed]).toEqual([0, true, true])
  })

  it('an echo: what is written comes back in the same order', async () => {
    const { stream, far } = pair()
    far.on('data', (chunk) => far.write(chunk))
    const parts = Array.from({ length: 50 }, (_, i) => bytes(i * 37 + 1))
    for (const part of parts) stream.write(part)
    const wanted = Buffer.concat(parts)
    const got: Buffer[] = []
    let length = 0
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      got.push(chunk)
      length += chunk.length
      if (length >= wanted.length) break
    }
    expect(Buffer.concat(got).equals(wanted)).toBe(true)
  })

  it('holds a writer whose reader does not read', async () => {
    const { stream, far } = pair()
    let written = 0
    while (written < 64 << 20 && stream.write(bytes(65_536))) written += 65_536
    expect(written).toBeLessThan(8 << 20)
    const drained = new Promise((resolve) => stream.once('drain', resolve))
    far.resume()
    await drained
    stream.destroy()
  })

  it('destroy(error) aborts the channel; the other side reads the end or an error, and its writes fail', async () => {
    const { wire, stream, far } = pair()
    const ended = new Promise((resolve) => { far.once('close', () => resolve('closed')); far.on('error', () => {}) })
    far.resume()
    stream.on('error', () => {})
    stream.destroy(new Error('enough'))
    expect(await wire.closed).toMatchObject({ message: 'enough' })
    expect(await ended).toBe('closed')
  })

  it('destroy() without error closes the channel in good order', async () => {
    const { wire, stream, far } = pair()
    far.resume()
    stream.destroy()
    expect(await wire.closed).toBeUndefined()
  })

  it('a link that is lost destroys the stream with the typed error', async () => {
    const { wire, stream } = pair()
    const failed = new Promise<unknown>((resolve) => stream.once('error', resolve))
    stream.resume()
    wire.breakLink(new JamiError('ERR_LINK_LOST', 'gone'))
    expect(await failed).toMatchObject({ code: 'ERR_LINK_LOST' })
    expect(stream.destroyed).toBe(true)
  })

  it('a link that is lost while nobody listens closes the stream, and is no uncaught error', async () => {
    const { wire, stream } = pair()
    const closed = new Promise((resolve) => stream.once('close', resolve))
    wire.breakLink(new JamiError('ERR_LINK_LOST', 'gone'))
    await closed
    expect([stream.destroyed, stream.errored]).toMatchObject([true, { code: 'ERR_LINK_LOST' }])
  })

  it('a write after the end of the other side fails with a typed error, and is no uncaught one', async () => {
    const { stream, other, far } = pair()
    far.on('error', () => {})
    const failed = new Promise<unknown>((resolve) => stream.once('error', resolve))
    other.abort(new Error('x'))
    await new Promise((resolve) => setImmediate(resolve))
    if (!stream.destroyed) stream.write('too late')
    stream.resume()
    await Promise.race([failed, new Promise((resolve) => stream.once('close', resolve))])
    expect(stream.destroyed).toBe(true)
  })
})

describe('a channel as Web Streams', () => {
  it('carries bytes both ways', async () => {
    const { stream, far } = pair()
    const [here, there] = [stream.web(), far.web()]
    const writer = here.writable.getWriter()
    const reader = there.readable.getReader()
    await writer.write(new TextEncoder().encode('hello'))
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('hello')
    await writer.close()
    expect((await reader.read()).done).toBe(true)
  })
})
