// Files between devices over doubles of conversations and links, in virtual time: sent, fetched, cut, resumed, restarted, deleted.
import { JamiError } from '@jamikit/core/base'
import { fileAnnouncementOf, fileIdOf, toHex } from '@jamikit/core/codec'
import type { FileTransfer, MessageId } from '@jamikit/core/contracts'
import { sha3_512 } from '@jamikit/core/crypto'
import { copyOf, failingStorage, testStorage, transfersSuite } from '@jamikit/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { alice, bob, carol, collect, inChunks, type Life, same, someBytes, type World, world } from '../../test/world.ts'

let w: World
beforeEach(() => {
  w = world()
})
afterEach(async () => {
  await w.dispose()
  expect(w.clock.pending()).toEqual([]) // no timer is left behind
})

const send = (life: Life, bytes: Uint8Array, more = {}) => life.transfers.send(w.conversation, { source: inChunks(bytes), name: 'a.bin', ...more })
const code = (work: Promise<unknown>) => w.run(work.then(() => 'resolved', (error) => (JamiError.is(error) ? error.code : String(error))))
/** The bytes of a file that is here. */
const kept = (life: Life, message: MessageId) => w.run(collect(life.transfers.receive(w.conversation, message).read()))
/** Lets time pass until so many bytes are here. */
const until = (transfer: FileTransfer, bytes: number) => w.clock.runUntil(() => transfer.progress().doneBytes >= bytes)

describe('files by their contract', () => {
  for (const { title, run } of transfersSuite(async () => {
    const v = world()
    const [a, b] = [await v.life(alice), await v.life(bob)]
    return {
      a: a.transfers, b: b.transfers, conversation: v.conversation,
      async text() {
        const message = v.write(alice, { body: 'x' }, 'text/plain')
        await v.clock.advance(1000)
        return message
      },
      async reach(reachable) {
        a.connections.setOnline(reachable)
      },
      drive: v.run,
      settle: () => v.clock.advance(5000),
      dispose: () => v.dispose(),
    }
  })) it(title, run)
})

describe('a file from one device to another', () => {
  it.each([0, 1, 65_535, 65_536, 3 << 20])('SWM-28 of %d bytes arrives as it was, once on the wire, and is announced as it is', async (size) => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const bytes = someBytes(size)
    const message = await w.run(send(a, bytes).done)
    const entry = w.entries.get(message)
    expect(entry && fileAnnouncementOf(entry)).toMatchObject({ displayName: 'a.bin', sizeBytes: size, sha3: toHex(sha3_512(bytes)) })
    expect(Object.values(entry?.fields ?? {}).every((value) => typeof value === 'string')).toBe(true)
    const transfer = b.transfers.receive(w.conversation, message)
    expect(await w.run(transfer.done)).toBe(message)
    same(await kept(b, message), bytes)
    expect(transfer.progress()).toMatchObject({ doneBytes: size, totalBytes: size })
    expect(b.connections.links().reduce((sum, { bytesIn }) => sum + bytesIn, 0)).toBe(size)
    expect(b.opened.length).toBe(size > 0 ? 1 : 0)
  })

  it('one request however many ask, and none for what is here', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    await w.life(carol)
    const message = await w.run(send(a, someBytes(1 << 20)).done)
    const transfers = [1, 2, 3].map(() => b.transfers.receive(w.conversation, message))
    for (let i = 0; i < 5; i++) b.meets(alice)
    await w.run(Promise.all(transfers.map(({ done }) => done)))
    await w.run(b.transfers.receive(w.conversation, message).done)
    expect(b.opened.length).toBe(1)
    expect(b.transfers.active()).toEqual([])
  })

  it('whoever has it serves it: the sender is away, another member gives it', async () => {
    const [a, b, c] = [await w.life(alice), await w.life(bob), await w.life(carol)]
    const bytes = someBytes(100_000)
    const message = await w.run(send(a, bytes).done)
    await w.run(b.transfers.receive(w.conversation, message).done)
    await a.stop()
    w.directory.withdraw(alice.accountId)
    await w.run(c.transfers.receive(w.conversation, message).done)
    same(await kept(c, message), bytes)
  })

  it('progress is told between 4 and 20 times a second, never backwards, and ends with all of it', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const message = await w.run(send(a, someBytes(4 << 20)).done)
    const transfer = b.transfers.receive(w.conversation, message)
    const told: { ms: number; done: number }[] = []
    transfer.onProgress(({ doneBytes }) => told.push({ ms: w.clock.now(), done: doneBytes }))
    const fromMs = w.clock.now()
    await w.run(transfer.done)
    const seconds = (w.clock.now() - fromMs) / 1000
    expect(told.length).toBeLessThanOrEqual(Math.ceil(seconds * 20) + 1)
    expect(told.map(({ done }) => done)).toEqual([...told.map(({ done }) => done)].sort((x, y) => x - y))
    expect(told.at(-1)?.done).toBe(4 << 20)
    for (let i = 1; i < told.length - 1; i++) expect((told[i]?.ms ?? 0) - (told[i - 1]?.ms ?? 0)).toBeLessThanOrEqual(250)
  })

  it('readers get all of it while it comes, the end only when it is checked', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const bytes = someBytes(700_000)
    const message = await w.run(send(a, bytes).done)
    const transfer = b.transfers.receive(w.conversation, message)
    for (const read of await w.run(Promise.all([collect(transfer.read()), collect(transfer.read())]))) same(read, bytes)
  })
})

describe('cuts and restarts', () => {
  const size = 3 << 20

  it('SWM-28 cut at half, it goes on from the byte where it stopped', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const bytes = someBytes(size)
    const message = await w.run(send(a, bytes).done)
    const transfer = b.transfers.receive(w.conversation, message)
    await until(transfer, size / 2)
    b.connections.setOnline(false)
    await w.clock.advance(1000)
    const before = transfer.progress().doneBytes
    b.connections.setOnline(true)
    await w.run(transfer.done)
    same(await kept(b, message), bytes)
    expect(b.opened.at(-1)).toContain(`?start=${before}&end=0`)
    expect(before).toBeGreaterThanOrEqual(size / 2)
  })

  it('SWM-28 the receiver is restarted midway: it goes on by itself from what is on disk', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const bytes = someBytes(size)
    const message = await w.run(send(a, bytes).done)
    const transfer = b.transfers.receive(w.conversation, message)
    await until(transfer, size / 2)
    await w.run(b.kill())
    expect(await code(transfer.done)).toBe('ERR_CLOSED')
    const again = await w.life(bob, b.storage)
    const [going] = again.transfers.active()
    expect(going?.message).toBe(message)
    await w.run(going?.done ?? Promise.reject(new Error('nothing goes on')))
    expect(Number(/start=(\d+)/.exec(again.opened[0] ?? '')?.[1])).toBeGreaterThanOrEqual(size / 2)
    same(await kept(again, message), bytes)
  })

  it('killed at any write of the receiver, the next start has the whole file, and nothing that is not it', async () => {
    const a = await w.life(alice)
    const bytes = someBytes(200_000)
    const message = await w.run(send(a, bytes).done)
    for (let at = 1; at <= 12; at++) {
      for (const applied of [false, true]) {
        const contents = testStorage()
        const storage = failingStorage(contents, { from: at, applied })
        const b = await w.life(bob, storage)
        b.transfers.receive(w.conversation, message)
        await w.clock.advance(5_000)
        await w.run(b.kill())
        const again = await w.life(bob, testStorage(copyOf(contents.contents)))
        await w.run(again.transfers.receive(w.conversation, message).done)
        same(await kept(again, message), bytes)
        await w.run(again.stop())
      }
    }
  })

  it('a disk that refuses at any write fails the transfer with ERR_STORAGE_IO; when it has room again the file comes', async () => {
    const a = await w.life(alice)
    const bytes = someBytes(200_000)
    const message = await w.run(send(a, bytes).done)
    let failures = 0
    for (let at = 1; at <= 10; at++) {
      const storage = failingStorage(testStorage())
      const b = await w.life(bob, storage)
      storage.plan = { at }
      const first = await code(b.transfers.receive(w.conversation, message).done)
      expect(['ERR_STORAGE_IO', 'resolved']).toContain(first)
      if (storage.failed.length > 0 && first === 'ERR_STORAGE_IO') failures++
      storage.plan = {}
      await w.run(b.transfers.receive(w.conversation, message).done)
      same(await kept(b, message), bytes)
      await w.run(b.stop())
    }
    expect(failures).toBeGreaterThan(3)
  })

  it('paused it lets go of the other side; resumed it goes on; cancelled nothing is left of it', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const message = await w.run(send(a, someBytes(size)).done)
    const transfer = b.transfers.receive(w.conversation, message)
    await until(transfer, size / 4)
    transfer.pause()
    const paused = transfer.progress().doneBytes
    await w.clock.advance(600_000)
    expect([transfer.progress().doneBytes - paused, b.opened.length]).toEqual([0, 1])
    transfer.resume()
    await until(transfer, size / 2)
    await w.run(transfer.cancel())
    expect(await code(transfer.done)).toBe('ERR_ABORTED')
    await w.clock.advance(60_000)
    expect(b.transfers.active()).toEqual([])
    const files = b.storage.files('accounts/a/transfers')
    expect(await files.list(`part/${w.conversation}`)).toEqual([])
  })

  it('more files than may come at a time: all of them come, and no more than three of one sender at once', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const messages: MessageId[] = []
    for (let i = 0; i < 12; i++) messages.push(await w.run(send(a, someBytes(300_000, i + 1)).done))
    const transfers = messages.map((message) => b.transfers.receive(w.conversation, message))
    let most = 0
    const watch = () => {
      most = Math.max(most, b.connections.links().reduce((sum, { channels }) => sum + channels, 0))
      if (b.transfers.active().length > 0) w.clock.after(1, watch)
    }
    watch()
    await w.run(Promise.all(transfers.map(({ done }) => done)))
    expect(most).toBe(3)
  })
})

describe('what is wrong or gone', () => {
  it('deleted by its author: it fails with ERR_FILE_GONE, is served no more, and no copy is kept', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const message = await w.run(send(a, someBytes(1000)).done)
    await w.run(b.transfers.receive(w.conversation, message).done)
    w.write(alice, { edit: message, tid: '' })
    await w.clock.advance(1000)
    for (const life of [a, b]) {
      expect(await code(life.transfers.receive(w.conversation, message).done)).toBe('ERR_FILE_GONE')
      expect(await life.storage.files('accounts/a/transfers').list(w.conversation)).toEqual([])
    }
  })

  it('deleted while nobody here heard it: the history says so, to whoever asks for it and to whoever has it', async () => {
    const a = await w.life(alice)
    const message = await w.run(send(a, someBytes(1000)).done)
    await a.stop()
    w.write(alice, { edit: message, tid: '' })
    const [again, b] = [await w.life(alice, a.storage), await w.life(bob)]
    for (const life of [again, b]) expect(await code(life.transfers.receive(w.conversation, message).done)).toBe('ERR_FILE_GONE')
    const fileId = fileIdOf(message, { displayName: w.entries.get(message)?.fields.displayName ?? '', tid: w.entries.get(message)?.fields.tid ?? '' })
    await expect(w.run(b.connections.openChannel(alice.deviceId, `data-transfer://${w.conversation}/${bob.deviceId}/${fileId}`))).rejects.toMatchObject({ code: 'ERR_CHANNEL_DECLINED' })
  })

  it('not because somebody else says so, and not the file of another announcement with the same bytes', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const [first, second] = [await w.run(send(a, someBytes(1000)).done), await w.run(send(a, someBytes(1000)).done)]
    w.write(bob, { edit: first, tid: '' })
    await w.clock.advance(1000)
    await w.run(b.transfers.receive(w.conversation, first).done)
    w.write(alice, { edit: first, tid: '' })
    await w.clock.advance(1000)
    expect(await code(b.transfers.receive(w.conversation, second).done)).toBe('resolved')
    same(await kept(a, second), someBytes(1000))
  })

  it('a conversation that is gone takes its files and transfers with it', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const message = await w.run(send(a, someBytes(1 << 20)).done)
    const transfer = b.transfers.receive(w.conversation, message)
    await until(transfer, 1 << 19)
    w.removeConversation()
    expect(await code(transfer.done)).toBe('ERR_NOT_FOUND')
    await w.clock.advance(1000)
    for (const life of [a, b]) {
      const found: string[] = []
      for await (const key of life.storage.keys('accounts/a/transfers/')) found.push(key)
      expect(found).toEqual([])
      expect(await life.storage.files('accounts/a/transfers').list(w.conversation)).toEqual([])
    }
  })

  it('the policy of the program: size and kind', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const message = await w.run(send(a, someBytes(1000), { name: '../x.exe' }).done)
    b.transfers.setPolicy({ autoBytes: 0, maxBytes: 999 })
    expect(await code(b.transfers.receive(w.conversation, message).done)).toBe('ERR_LIMIT')
    const asked: string[] = []
    b.transfers.setPolicy({ autoBytes: 0, maxBytes: 1e9, accept: ({ name }) => (asked.push(name), !name.endsWith('.exe')) })
    expect(await code(b.transfers.receive(w.conversation, message).done)).toBe('ERR_PEER_REFUSED')
    expect([asked, b.opened]).toEqual([['x.exe'], []])
  })

  it('small files come by themselves when the program says so; larger ones, and our own, do not', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const began: FileTransfer[] = []
    b.transfers.onTransfer((transfer) => began.push(transfer))
    b.transfers.setPolicy({ autoBytes: 1000, maxBytes: 1e9 })
    const message = await w.run(send(a, someBytes(1000)).done)
    await w.run(send(a, someBytes(1001)).done)
    await w.clock.runUntil(() => began.length > 0)
    expect(await w.run(began[0]?.done ?? Promise.reject(new Error('nothing came')))).toBe(message)
    await w.clock.advance(60_000)
    expect(began.length).toBe(1)
  })
})
