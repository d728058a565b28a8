// Contract suite of Channel: the multiplexer's and the one in memory.
import { deepStrictEqual, ok } from 'node:assert/strict'
import { concatBytes, utf8 } from '../../codec/bytes.ts'
import type { Channel } from '../../contracts/channel.ts'
import { type ContractTest, rejectsWith, sameBytes, testsOf } from './contract-test.ts'

/** Both ends of one open channel between two devices. */
export interface ChannelUnderTest {
  /** One end. */
  readonly a: Channel
  /** The other one. */
  readonly b: Channel
  /** Waits for `work`, letting the time below the channel pass. */
  drive<T>(work: Promise<T>): Promise<T>
  /** Lets everything on its way arrive, in a few seconds of the time below the channel. Default: until nothing moves for 200 turns of the loop. */
  rest?(): Promise<void>
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

/** More than this must not be taken from a writer whose reader does not read. */
const MAX_UNREAD_BYTES = 64 << 20

async function readAll(channel: Channel, atMost = Infinity): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  const iterator = channel[Symbol.asyncIterator]()
  while (length < atMost) {
    const { value, done } = await iterator.next()
    if (done) break
    parts.push(value.slice())
    length += value.length
  }
  return concatBytes(...parts)
}

const sameReason = (error: unknown, reason: Error) => error === reason || (error as Error | undefined)?.cause === reason

/** What a Channel must do, as tests to run one by one. @param make makes a fresh one for each test */
export function channelSuite(make: () => ChannelUnderTest | Promise<ChannelUnderTest>): ContractTest[] {
  const test = testsOf(make, async (t) => {
    t.a.abort()
    t.b.abort()
    await t.drive(Promise.all([t.a.closed, t.b.closed]))
  })
  return [
    test('both ends have the same name, and each knows the other device', async ({ a, b }) => {
      deepStrictEqual(a.name, b.name)
      ok(a.remote.deviceId !== b.remote.deviceId)
      deepStrictEqual([a.remote.deviceId, a.remote.accountId], [a.remote.chain[0].longId, a.remote.chain[1]?.shortId])
      ok(['host', 'srflx', 'prflx', 'relay'].includes(a.path.kind) && /:\d+$/.test(a.path.remote))
    }),
    test('carries bytes both ways', async ({ a, b, drive }) => {
      await drive(a.write(utf8('question')))
      sameBytes(await drive(readAll(b, 8)), utf8('question'))
      await drive(b.write(utf8('answer')))
      sameBytes(await drive(readAll(a, 6)), utf8('answer'))
    }),
    test('a mebibyte in odd pieces arrives in order', async ({ a, b, drive }) => {
      const bytes = new Uint8Array(1 << 20).map((_, i) => (i * 2654435761) >>> 24)
      const reading = readAll(b, bytes.length)
      const writing = (async () => {
        for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7) % 70_001) await a.write(bytes.subarray(at, at + size))
      })()
      await drive(writing)
      sameBytes(await drive(reading), bytes)
    }),
    test('one write larger than a message of the multiplexer arrives whole', async ({ a, b, drive }) => {
      const bytes = new Uint8Array(300_000).map((_, i) => i % 251)
      const reading = readAll(b, bytes.length)
      await drive(a.write(bytes))
      sameBytes(await drive(reading), bytes)
    }),
    test('write() keeps nothing of the caller once it has resolved', async ({ a, b, drive }) => {
      const buffer = new Uint8Array(1000).fill(1)
      await drive(a.write(buffer))
      buffer.fill(9)
      ok((await drive(readAll(b, 1000))).every((byte) => byte === 1))
    }),
    test('an empty write does nothing', async ({ a, b, drive }) => {
      await drive(a.write(new Uint8Array(0)))
      await drive(a.write(utf8('x')))
      sameBytes(await drive(readAll(b, 1)), utf8('x'))
    }),
    test('not reading is back-pressure: the writer is held, and nothing is lost', async ({ a, b, drive, rest }) => {
      const piece = new Uint8Array(65_535)
      let taken = 0
      let stop = false
      const writing = (async () => {
        while (!stop && taken * piece.length < MAX_UNREAD_BYTES) {
          await a.write(piece.fill(taken))
          taken++
        }
      })()
      // The writer stands still: no progress while the event loop turned many times.
      const stall = async () => {
        for (let before = -1, quiet = 0; quiet < 200 && taken * piece.length < MAX_UNREAD_BYTES; before = taken) {
          await new Promise((resolve) => setImmediate(resolve))
          quiet = taken === before ? quiet + 1 : 0
        }
      }
      await (rest ? rest() : drive(stall()))
      ok(taken * piece.length < MAX_UNREAD_BYTES, `${taken} writes were taken`)
      stop = true
      const reading = readAll(b, (taken + 1) * piece.length)
      await drive(writing)
      const got = await drive(reading)
      for (let i = 0; i < taken; i++) ok(got[i * piece.length] === i % 256 && got[(i + 1) * piece.length - 1] === i % 256)
    }),
    test('close() delivers what was written, then ends both ends without an error', async ({ a, b, drive }) => {
      const writing = a.write(utf8('last words'))
      const closing = a.close()
      sameBytes(await drive(readAll(b)), utf8('last words'))
      await drive(Promise.all([writing, closing]))
      deepStrictEqual(await drive(Promise.all([a.closed, b.closed])), [undefined, undefined])
      sameBytes(await drive(readAll(a)), new Uint8Array(0))
      await rejectsWith('ERR_CHANNEL_CLOSED', drive(a.write(utf8('more'))))
      await rejectsWith('ERR_CHANNEL_CLOSED', drive(b.write(utf8('more'))))
    }),
    test('close() is idempotent, and both ends may close at once', async ({ a, b, drive }) => {
      await drive(Promise.all([a.close(), b.close(), a.close()]))
      await drive(b.close())
      deepStrictEqual(await drive(Promise.all([a.closed, b.closed])), [undefined, undefined])
    }),
    test('what arrived before the end can still be read after it', async ({ a, b, drive }) => {
      await drive(a.write(utf8('kept')))
      await drive(a.close())
      await drive(b.closed)
      sameBytes(await drive(readAll(b)), utf8('kept'))
    }),
    test('close() drops what was not read here', async ({ a, b, drive, rest }) => {
      await drive(b.write(new Uint8Array(1000)))
      await (rest ? rest() : drive(new Promise((resolve) => setImmediate(resolve))))
      await drive(a.close())
      sameBytes(await drive(readAll(a)), new Uint8Array(0))
    }),
    test('close() ends a read that waits', async ({ a, drive }) => {
      const reading = readAll(a)
      await drive(a.close())
      sameBytes(await drive(reading), new Uint8Array(0))
    }),
    test('abort() ends reads and writes here with the reason, and the other end, too', async ({ a, b, drive }) => {
      const reason = new Error('because')
      const reading = readAll(a).then(() => undefined, (error: unknown) => error)
      const remote = readAll(b).then(() => 'end', () => 'error')
      a.abort(reason)
      a.abort()
      const failure = await drive(reading)
      ok(sameReason(failure, reason), `got ${String(failure)}`)
      const over = await drive(a.closed)
      ok(sameReason(over, reason), `closed with ${String(over)}`)
      const outcome = await drive(a.write(utf8('x')).then(() => 'resolved', (error: unknown) => (error as { code?: string }).code))
      ok(outcome === 'ERR_CHANNEL_CLOSED' || outcome === 'ERR_LINK_LOST', String(outcome))
      ok(['end', 'error'].includes(await drive(remote)))
      await drive(b.closed)
      await drive(a.close())
    }),
    test('abort() fails a write that is held', async ({ a, drive }) => {
      let failed: string | undefined
      const writing = (async () => {
        try {
          for (;;) await a.write(new Uint8Array(65_535))
        } catch (error) {
          failed = (error as { code?: string }).code
        }
      })()
      const turns = async () => {
        for (let i = 0; i < 500; i++) await new Promise((resolve) => setImmediate(resolve))
      }
      await drive(turns())
      a.abort()
      await drive(writing)
      ok(failed === 'ERR_CHANNEL_CLOSED' || failed === 'ERR_LINK_LOST', String(failed))
    }),
  ]
}
