// Files brought into a conversation, from sources of every kind and through every write that fails; and paths of the program, both ways.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { JamiError } from '@jamikit/core/base'
import { toHex } from '@jamikit/core/codec'
import type { MessageId } from '@jamikit/core/contracts'
import { sha3_512 } from '@jamikit/core/crypto'
import { copyOf, failingStorage, testStorage } from '@jamikit/core/testing'
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

describe('sending', () => {
  it('the same key again gives the first announcement, and nothing of the second stays', async () => {
    const a = await w.life(alice)
    const [first, second] = [await w.run(send(a, someBytes(1000), { key: 'k' }).done), await w.run(send(a, someBytes(2000), { key: 'k' }).done)]
    expect(second).toBe(first)
    expect(await a.storage.files('accounts/a/transfers').list(w.conversation)).toEqual([toHex(sha3_512(someBytes(1000)))])
  })

  it('killed at any write of the sender: announced once or not at all, and what is announced is served', async () => {
    const bytes = someBytes(200_000)
    for (let at = 1; at <= 8; at++) {
      for (const applied of [false, true]) {
        w.entries.clear()
        const contents = testStorage()
        const storage = failingStorage(contents, { from: at, applied })
        const a = await w.life(alice, storage)
        send(a, bytes, { key: `${at}${applied}` })
        await w.clock.advance(1000)
        await w.run(a.kill())
        const again = await w.life(alice, testStorage(copyOf(contents.contents)))
        await w.clock.advance(1000)
        expect(w.entries.size).toBeLessThanOrEqual(1)
        const message = await w.run(send(again, bytes, { key: `${at}${applied}` }).done)
        expect(w.entries.size).toBe(1)
        same(await kept(again, message), bytes)
        const files = again.storage.files('accounts/a/transfers')
        expect([await files.list('new'), (await files.list(w.conversation)).length]).toEqual([[], 1])
        await w.run(again.stop())
      }
    }
  })

  it('a conversation that does not take it: the error of the announcement, and nothing stays', async () => {
    const a = await w.life(alice)
    a.said.fails = new JamiError('ERR_NOT_MEMBER', 'no')
    expect(await code(send(a, someBytes(1000)).done)).toBe('ERR_NOT_MEMBER')
    expect(await a.storage.files('accounts/a/transfers').list(w.conversation)).toEqual([])
  })

  it('a source that fails, is of another size than said, or gives no bytes', async () => {
    const a = await w.life(alice)
    const failing = (async function* () {
      yield new Uint8Array(10)
      throw new Error('the source broke')
    })()
    expect(await code(send(a, new Uint8Array(0), { source: failing }).done)).toBe('ERR_LISTENER')
    expect(await code(send(a, someBytes(10), { sizeBytes: 11 }).done)).toBe('ERR_ARGUMENT')
    expect(await code(send(a, someBytes(10), { sizeBytes: 9 }).done)).toBe('ERR_ARGUMENT')
    expect(await code(send(a, new Uint8Array(0), { source: (async function* () { yield 'text' as never })() }).done)).toBe('ERR_ARGUMENT')
    expect([w.entries.size, await a.storage.files('accounts/a/transfers').list('new')]).toEqual([0, []])
  })

  it('cancelled while it is read: nothing is announced', async () => {
    const a = await w.life(alice)
    const transfer = send(a, someBytes(8 << 20))
    const cancelled = transfer.cancel()
    expect(await code(transfer.done)).toBe('ERR_ABORTED')
    await w.run(cancelled)
    expect(w.entries.size).toBe(0)
  })

  it('a source that gives its bytes one by one is stored in blocks', async () => {
    const storage = failingStorage(testStorage())
    const a = await w.life(alice, storage)
    storage.plan = {}
    const message = await w.run(send(a, someBytes(100_000), { source: inChunks(someBytes(100_000), 1) }).done)
    expect(storage.writes).toBeLessThan(12)
    same(await kept(a, message), someBytes(100_000))
  })
})

describe('paths of the program', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'jamikit-files-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  it('sent from a path; received to a file, and to a directory under a name of ours: nothing of a peer is part of a path', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const bytes = someBytes(300_000)
    await writeFile(join(dir, 'in'), bytes)
    const message = await w.run(a.transfers.send(w.conversation, { source: join(dir, 'in'), name: '../../../etc/passwd.TXT' }).done)
    const [file, directory] = [b.transfers.receive(w.conversation, message, { to: join(dir, 'out') }), b.transfers.receive(w.conversation, message, { to: dir })]
    await w.run(Promise.all([file.done, directory.done]))
    expect([file.path, directory.path]).toEqual([join(dir, 'out'), join(dir, `${message}.txt`)])
    for (const path of [file.path, directory.path]) same(await readFile(path ?? ''), bytes)
    expect((await readdir(dir)).sort()).toEqual([`${message}.txt`, 'in', 'out'].sort())
  })

  it('keep: false leaves no copy in the profile', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const message = await w.run(send(a, someBytes(1000)).done)
    await w.run(b.transfers.receive(w.conversation, message, { to: join(dir, 'out'), keep: false }).done)
    expect(await b.storage.files('accounts/a/transfers').list(w.conversation)).toEqual([])
  })

  it('keep: false takes away nothing that was kept before: our own file, or one that was fetched to be kept', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    const message = await w.run(send(a, someBytes(1000)).done)
    await w.run(b.transfers.receive(w.conversation, message).done)
    for (const life of [a, b]) {
      await w.run(life.transfers.receive(w.conversation, message, { to: join(dir, 'out'), keep: false }).done)
      expect((await life.storage.files('accounts/a/transfers').list(w.conversation)).length).toBe(1)
    }
  })

  it('a reference is served from where it is while it does not change', async () => {
    const [a, b, c] = [await w.life(alice), await w.life(bob), await w.life(carol)]
    await writeFile(join(dir, 'in'), someBytes(1000))
    const message = await w.run(a.transfers.send(w.conversation, { source: join(dir, 'in'), name: 'in', keep: 'reference' }).done)
    expect(await a.storage.files('accounts/a/transfers').list(w.conversation)).toEqual([])
    await w.run(b.transfers.receive(w.conversation, message).done)
    same(await kept(b, message), someBytes(1000))
    await writeFile(join(dir, 'in'), someBytes(1001, 2))
    await w.run(b.stop())
    w.directory.withdraw(bob.accountId)
    expect(await code(c.transfers.receive(w.conversation, message).done)).toBe('ERR_FILE_GONE')
  })

  it('a source that is not there, and a place that cannot be written to', async () => {
    const [a, b] = [await w.life(alice), await w.life(bob)]
    expect(await code(a.transfers.send(w.conversation, { source: join(dir, 'none'), name: 'x' }).done)).toBe('ERR_NOT_FOUND')
    expect(await code(a.transfers.send(w.conversation, { source: dir, name: 'x' }).done)).toBe('ERR_ARGUMENT')
    const message = await w.run(send(a, someBytes(1000)).done)
    expect(await code(b.transfers.receive(w.conversation, message, { to: join(dir, 'none', 'out') }).done)).toBe('ERR_NOT_FOUND')
  })
})
