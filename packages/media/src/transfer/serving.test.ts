// Who gets files from us, by which names, and what a requester can make us do.
import type { Channel, DeviceIdentity } from '@jamikit/core/contracts'
import { fileIdOf } from '@jamikit/core/codec'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MAX_RATED_DEVICES, MAX_SERVED_PER_DEVICE, REQUEST_BURST, REQUESTS_PER_SECOND, SERVE_STALL_MS } from '../defaults.ts'
import { alice, bob, carol, dave, inChunks, type Life, same, someBytes, type World, world } from '../../test/world.ts'

let w: World
let a: Life
beforeEach(async () => {
  w = world()
  a = await w.life(alice)
})
afterEach(async () => {
  await w.dispose()
  expect(w.clock.pending()).toEqual([])
})

const bytes = someBytes(300_000)

async function announced(name = 'a.bin') {
  const message = await w.run(a.transfers.send(w.conversation, { source: inChunks(bytes), name }).done)
  const fields = w.entries.get(message)?.fields as { displayName: string; tid: string }
  return { message, fileId: fileIdOf(message, fields) }
}

/** A device that asks by itself. */
async function requester(identity: DeviceIdentity) {
  const connections = w.manager(identity)
  await connections.start()
  const open = (rest: string, device: string = identity.deviceId) => connections.openChannel(alice.deviceId, `data-transfer://${w.conversation}/${device}/${rest}`)
  const code = (work: Promise<unknown>) => w.run(work.then(() => 'given', (error: { code?: string }) => error.code))
  return { connections, open, ask: (rest: string, device?: string) => code(open(rest, device).then((channel) => channel.close())), stop: () => w.run(connections.stop()) }
}

async function read(channel: Channel): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of channel) parts.push(part)
  return new Uint8Array(Buffer.concat(parts))
}

describe('who gets a file', () => {
  it.each([['admin', 'given'], ['member', 'given'], ['invited', 'ERR_CHANNEL_DECLINED'], ['banned', 'ERR_CHANNEL_DECLINED'], ['left', 'ERR_CHANNEL_DECLINED']] as const)('SWM-28 %s: %s', async (role, outcome) => {
    const { fileId } = await announced()
    const c = await requester(carol)
    w.roles.set(carol.accountId, role)
    expect(await c.ask(fileId)).toBe(outcome)
    await c.stop()
  })

  it('SWM-28 nobody who is no member', async () => {
    const { fileId } = await announced()
    const d = await requester(dave)
    expect(await d.ask(fileId)).toBe('ERR_CHANNEL_DECLINED')
    await d.stop()
  })

  it('SWM-28 not under our own device id', async () => {
    const { fileId } = await announced()
    const b = await requester(bob)
    expect(await b.ask(fileId, alice.deviceId)).toBe('ERR_CHANNEL_DECLINED')
    await b.stop()
  })

  it('no more when it was deleted, also who is being given it', async () => {
    const message = await w.run(a.transfers.send(w.conversation, { source: inChunks(someBytes(4 << 20)), name: 'a.bin' }).done)
    const fileId = fileIdOf(message, w.entries.get(message)?.fields as { displayName: string; tid: string })
    const b = await requester(bob)
    const channel = await w.run(b.open(fileId))
    w.write(alice, { edit: message, tid: '' })
    await w.clock.advance(1000)
    await expect(w.run(read(channel).then(({ length }) => length))).resolves.toBeLessThan(4 << 20) // it ended early
    expect(await b.ask(fileId)).toBe('ERR_CHANNEL_DECLINED')
    await b.stop()
  })
})

describe('what is given', () => {
  it.each([0, 1, 65_535, 150_000, 299_999, 300_000])('SWM-28 the bytes from %d on, then the end', async (start) => {
    const { fileId } = await announced()
    const b = await requester(bob)
    same(await w.run(b.open(start > 0 ? `${fileId}?start=${start}&end=0` : fileId).then(read)), bytes.subarray(start))
    await b.stop()
  })

  it('SWM-S8 nothing but an exact file id of an announcement that is here', async () => {
    const { fileId, message } = await announced()
    const text = w.write(alice, { body: 'x' }, 'text/plain')
    const { fileId: elsewhere } = w.announce(alice, someBytes(10))
    const { fileId: wrong } = w.announce(alice, bytes, { totalSize: String(bytes.length + 1) })
    const b = await requester(bob)
    for (const rest of [
      `${message}_1`, `${fileId}x`, fileId.slice(0, -1), `${fileId}/../${fileId}`, `../${fileId}`, `${message}_../../identity`, `${text}_7.bin`, `${'0'.repeat(40)}_7.bin`, `${fileId}?start=300001&end=0`, `${fileId}?start=0&end=10`,
      elsewhere, wrong, 'profile.vcf', `profile/${alice.accountId}.vcf`,
    ]) expect([rest, await b.ask(rest)]).toEqual([rest, 'ERR_CHANNEL_DECLINED'])
    expect(await b.ask(fileId)).toBe('given')
    await b.stop()
  })

  it('SWM-28 not a file that has another size than it was announced with', async () => {
    const { fileId, message } = await announced()
    const files = a.storage.files('accounts/a/transfers')
    const sha3 = w.entries.get(message)?.fields.sha3sum
    await files.append(`${w.conversation}/${sha3}`, new Uint8Array(1))
    const b = await requester(bob)
    expect(await b.ask(fileId)).toBe('ERR_CHANNEL_DECLINED')
    await b.stop()
  })
})

describe('hostile requesters', () => {
  it('thousands of requests at once: a device gets its share, others are served meanwhile', async () => {
    const { fileId } = await announced()
    const [b, c] = [await requester(bob), await requester(carol)]
    const channels: Channel[] = []
    let declined = 0
    for (let i = 0; i < 2000; i++) b.open(fileId).then((channel) => channels.push(channel), () => declined++)
    await w.clock.advance(100)
    expect([channels.length, declined]).toEqual([MAX_SERVED_PER_DEVICE, 2000 - MAX_SERVED_PER_DEVICE])
    expect(await c.ask(fileId)).toBe('given')
    for (const channel of channels) channel.abort()
    await b.stop()
    await c.stop()
  })

  it('requests for what is not there cost as much as those for files: a burst, then so many a second', async () => {
    await announced()
    const b = await requester(bob)
    let looked = 0
    const get = w.entries.get.bind(w.entries)
    w.entries.get = (id) => {
      looked++
      return get(id)
    }
    for (let i = 0; i < 20; i++) {
      for (let j = 0; j < MAX_SERVED_PER_DEVICE; j++) b.open(`${i.toString(16).padStart(40, '0')}_${j + 1}`).catch(() => {})
      await w.clock.advance(1000)
    }
    expect(looked).toBeLessThanOrEqual(REQUEST_BURST + 20 * REQUESTS_PER_SECOND)
    expect(looked).toBeGreaterThan(REQUEST_BURST)
    expect(MAX_RATED_DEVICES).toBeGreaterThan(REQUEST_BURST) // one flood does not push out what is known of others
    await b.stop()
  })

  it('a requester that reads nothing, or next to nothing, is ended, and what it held is free again', async () => {
    const message = await w.run(a.transfers.send(w.conversation, { source: inChunks(someBytes(4 << 20)), name: 'a.bin' }).done)
    const fileId = fileIdOf(message, w.entries.get(message)?.fields as { displayName: string; tid: string })
    const b = await requester(bob)
    const channels = await w.run(Promise.all(Array.from({ length: MAX_SERVED_PER_DEVICE }, () => b.open(fileId))))
    const reader = channels[0]?.[Symbol.asyncIterator]()
    for (let ms = 0; ms < 6 * SERVE_STALL_MS; ms += 30_000) {
      void reader?.next().catch(() => {}) // 65,535 bytes in 30 s is enough: that one lives
      await w.clock.advance(30_000)
    }
    const over = await Promise.all(channels.map(async (channel) => Promise.race([channel.closed.then(() => true), w.clock.settle().then(() => false)])))
    expect(over.slice(1)).toEqual(over.slice(1).map(() => true))
    expect(over[0]).toBe(false)
    expect(await b.ask(fileId)).toBe('given')
    await b.stop()
  })

  it('a requester that talks is not listened to, and its link is not held up', async () => {
    const { fileId } = await announced()
    const b = await requester(bob)
    const channel = await w.run(b.open(fileId))
    void (async () => {
      for (;;) await channel.write(new Uint8Array(65_535))
    })().catch(() => {})
    same(await w.run(read(channel)), bytes)
    await b.stop()
  })
})
