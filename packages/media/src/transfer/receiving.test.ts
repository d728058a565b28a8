// Holders that give something else than the file: what they cost, and what the program is told.
import { JamiError } from '@jamikit/core/base'
import type { Channel } from '@jamikit/core/contracts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RECEIVE_STALL_MS } from '../defaults.ts'
import { alice, bob, carol, collect, inChunks, type Life, same, someBytes, type World, world } from '../../test/world.ts'

let w: World
let b: Life
beforeEach(async () => {
  w = world()
  b = await w.life(bob)
})
afterEach(async () => {
  await w.dispose()
  expect(w.clock.pending()).toEqual([])
})

const bytes = someBytes(500_000)
const code = (work: PromiseLike<unknown>) => w.run(Promise.resolve(work).then(() => 'resolved', (error) => (JamiError.is(error) ? error.code : String(error))))
const give = async (channel: Channel, what: Uint8Array) => {
  for await (const part of inChunks(what, 50_000)) await channel.write(part)
  await channel.close()
}
/** What of the file lies in the profile. */
const left = async () => [...(await b.storage.files('accounts/a/transfers').list(`part/${w.conversation}`)), ...(await b.storage.files('accounts/a/transfers').list(w.conversation))]

describe('a holder that alone is there', () => {
  it('SWM-28 gives other bytes: ERR_FILE_HASH, once on the wire, and nothing of it stays', async () => {
    const { message } = w.announce(alice, bytes)
    const a = await w.holder(alice, (channel) => give(channel, someBytes(500_000, 2)))
    expect(await code(b.transfers.receive(w.conversation, message).done)).toBe('ERR_FILE_HASH')
    expect([a.asked.length, await left()]).toEqual([1, []])
  })

  it('gives endless bytes: no more of them is taken than the file has', async () => {
    const { message } = w.announce(alice, bytes)
    let written = 0
    await w.holder(alice, async (channel) => {
      for (;;) {
        await channel.write(new Uint8Array(60_000))
        written += 60_000
      }
    })
    const transfer = b.transfers.receive(w.conversation, message)
    expect(await code(transfer.done)).toBe('ERR_FILE_HASH')
    expect(written).toBeLessThan(bytes.length + (1 << 20))
    expect(transfer.progress().doneBytes).toBeLessThanOrEqual(bytes.length)
  })

  it('gives it byte by byte: other work of the process goes on meanwhile', async () => {
    const small = bytes.subarray(0, 10_000)
    const { message } = w.announce(alice, small)
    const channel = { async *[Symbol.asyncIterator]() { for (let i = 0; i < small.length; i++) yield small.subarray(i, i + 1) }, abort: () => {}, closed: new Promise(() => {}) }
    const connections = b.connections
    const original = connections.openChannel.bind(connections)
    connections.openChannel = async () => channel as never
    let turns = 0
    let running = true
    const count = () => {
      turns++
      if (running) setImmediate(count)
    }
    setImmediate(count)
    await b.transfers.receive(w.conversation, message).done
    running = false
    connections.openChannel = original
    expect(turns).toBeGreaterThan(100)
  })

  it('gives the file and goes on: the file is taken', async () => {
    const { message } = w.announce(alice, bytes)
    await w.holder(alice, (channel) => give(channel, new Uint8Array(Buffer.concat([bytes, new Uint8Array(100_000)]))))
    same(await w.run(collect(b.transfers.receive(w.conversation, message).read())), bytes)
  })

  it('SWM-28 closes early, again and again: each time from where it stopped', async () => {
    const { message } = w.announce(alice, bytes)
    const a = await w.holder(alice, (channel, start) => give(channel, bytes.subarray(start, start + 100_000)))
    same(await w.run(collect(b.transfers.receive(w.conversation, message).read())), bytes)
    expect(a.asked.map((name) => /start=(\d+)/.exec(name)?.[1] ?? '0')).toEqual(['0', '100000', '200000', '300000', '400000'])
  })

  it('closes at once, for ever: it is asked less and less often', async () => {
    const { message } = w.announce(alice, bytes)
    const a = await w.holder(alice, (channel) => channel.close())
    const transfer = b.transfers.receive(w.conversation, message)
    await w.clock.advance(3_600_000)
    expect(a.asked.length).toBeLessThan(25)
    expect(transfer.progress().doneBytes).toBe(0)
    await w.run(transfer.cancel())
  })

  it('gives a byte now and then: it is left in time, and what came counts', async () => {
    const { message } = w.announce(alice, bytes)
    const a = await w.holder(alice, async (channel, start) => {
      for (let at = start; ; at++) {
        await channel.write(bytes.subarray(at, at + 1))
        await new Promise<void>((resolve) => void w.clock.after(5_000, resolve))
      }
    })
    const transfer = b.transfers.receive(w.conversation, message)
    await w.clock.advance(600_000)
    expect(a.asked.length).toBeGreaterThan(1)
    expect(a.asked.length).toBeLessThan(12)
    await w.run(transfer.cancel())
    await b.stop()
    await w.clock.advance(10_000)
  })

  it('gives nothing: it is left after a while, and asked again', async () => {
    const { message } = w.announce(alice, bytes)
    let calls = 0
    await w.holder(alice, (channel, start) => (++calls > 1 ? give(channel, bytes.subarray(start)) : undefined))
    const transfer = b.transfers.receive(w.conversation, message)
    await w.clock.advance(RECEIVE_STALL_MS / 2)
    expect(transfer.progress().doneBytes).toBe(0)
    await w.run(transfer.done)
    expect(calls).toBe(2)
  })

  it('does not give it, and announced it: ERR_FILE_GONE', async () => {
    const { message } = w.announce(alice, bytes)
    const a = await w.holder(alice, () => {}, () => false)
    expect(await code(b.transfers.receive(w.conversation, message).done)).toBe('ERR_FILE_GONE')
    expect(a.asked.length).toBe(3)
  })
})

describe('a holder that is wrong beside one that is right', () => {
  it('SWM-28 the file comes from the one that is right', async () => {
    const { message } = w.announce(alice, bytes)
    await w.holder(alice, (channel) => give(channel, someBytes(500_000, 2)))
    await w.holder(carol, (channel, start) => give(channel, bytes.subarray(start)))
    same(await w.run(collect(b.transfers.receive(w.conversation, message).read()).catch(() => collect(b.transfers.receive(w.conversation, message).read()))), bytes)
  })

  it('readers who were given wrong bytes are told; they never see the end of what is not the file', async () => {
    const { message } = w.announce(alice, bytes)
    await w.holder(alice, (channel) => give(channel, someBytes(500_000, 2)))
    await w.holder(carol, (channel, start) => give(channel, bytes.subarray(start)))
    const transfer = b.transfers.receive(w.conversation, message)
    expect(await code(collect(transfer.read()))).toBe('ERR_FILE_HASH')
    await w.run(transfer.done)
  })

  it('half from one that lies and half from one that does not: in the end the file', async () => {
    const { message } = w.announce(alice, bytes)
    let lies = 0
    await w.holder(alice, (channel, start) => (++lies === 1 ? give(channel, new Uint8Array(250_000)) : give(channel, bytes.subarray(start))))
    await w.holder(carol, (channel, start) => give(channel, bytes.subarray(start)))
    const transfer = b.transfers.receive(w.conversation, message)
    await w.run(transfer.done)
    same(await w.run(collect(b.transfers.receive(w.conversation, message).read())), bytes)
  })
})

it('what an earlier version or a broken disk left is not trusted: the file is fetched again from the beginning', async () => {
  const { message } = w.announce(alice, bytes)
  const a = await w.holder(alice, (channel, start) => give(channel, bytes.subarray(start)))
  await b.storage.files('accounts/a/transfers').append(`part/${w.conversation}/${message}`, new Uint8Array(1000))
  same(await w.run(b.transfers.receive(w.conversation, message).done.then(() => collect(b.transfers.receive(w.conversation, message).read()))), bytes)
  expect(a.asked.map((name) => name.includes('start=1000'))).toEqual([true, false])
})

it('a part that is longer than the file is thrown away', async () => {
  const { message } = w.announce(alice, bytes)
  const a = await w.holder(alice, (channel, start) => give(channel, bytes.subarray(start)))
  await b.storage.files('accounts/a/transfers').append(`part/${w.conversation}/${message}`, new Uint8Array(500_001))
  await w.run(b.transfers.receive(w.conversation, message).done)
  expect(a.asked.map((name) => name.includes('start'))).toEqual([false])
})
