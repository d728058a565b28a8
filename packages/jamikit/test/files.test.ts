// Files between two whole nodes, everything real but sockets and time: sent, fetched, cut, resumed over a restart, gone, wrong, and texts
// that come meanwhile.
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Account, type Conversation, type FileMessage, memoryStorage, type Message, type Progress, type TransferNews } from '@jamikit/core'
import { createTestNetwork, type TestNetwork } from 'jamikit/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

let net: TestNetwork
let alice: Account
let bob: Account
let chat: Conversation
const contents = { alice: { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }, bob: { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() } }

async function open(name: 'alice' | 'bob') {
  const node = await net.createNode({ host: name, storage: memoryStorage(contents[name]) })
  const account = await net.run(node.accounts.open(name, { displayName: name }))
  await net.run(account.ready())
  return { node, account }
}

let nodes: Record<'alice' | 'bob', Awaited<ReturnType<typeof open>>['node']>
beforeEach(async () => {
  for (const one of Object.values(contents)) for (const map of Object.values(one)) map.clear()
  net = await createTestNetwork({ seed: 7, latencyMs: 20 })
  const [a, b] = [await open('alice'), await open('bob')]
  nodes = { alice: a.node, bob: b.node }
  alice = a.account
  bob = b.account
  await net.befriend(alice, bob)
  chat = await net.run(alice.conversations.with(bob.uri))
})
afterEach(async () => {
  await net[Symbol.asyncDispose]()
  await net.advance(120_000)
  expect([net.network.openSockets(), net.clock.pending()]).toEqual([[], []])
})

const someBytes = (length: number) => {
  const bytes = new Uint8Array(length)
  for (let i = 0, state = 1; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}
const sha3 = (bytes: Uint8Array) => createHash('sha3-512').update(bytes).digest('hex')
const isFile = (message: Message): message is FileMessage => message.type === 'file'
/** The file as Bob hears of it. */
const heard = async () => (await bob.once('message', { filter: isFile })) as FileMessage
async function sent(bytes: Uint8Array, name = 'a.bin'): Promise<FileMessage> {
  const hearing = heard()
  await net.run(Promise.resolve(chat.sendFile(bytes, { name })))
  return net.run(hearing)
}
async function collect(readable: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const bytes of readable) parts.push(bytes)
  return Buffer.concat(parts)
}
const code = (work: PromiseLike<unknown>) => net.run(Promise.resolve(work).then(() => 'done', (error: { code?: string }) => error.code))

describe('a file from Alice to Bob', () => {
  it.each([1, 3 << 20])('SWM-28 of %d bytes: heard of, fetched, and as it was; Alice sees her own', async (size) => {
    const bytes = someBytes(size)
    const message = await sent(bytes, 'Grüße.tar.gz')
    expect(message).toMatchObject({ type: 'file', own: false, from: alice.uri, name: 'Grüße.tar.gz', sizeBytes: size, sha3: sha3(bytes) })
    expect(message.fileId).toMatch(new RegExp(`^${message.id}_\\d+\\.gz$`))
    const links = () => nodes.bob.stats().bytesIn
    const before = links()
    const transfer = message.download()
    const seen: Progress[] = []
    const watching = (async () => {
      for await (const progress of transfer) seen.push(progress)
    })()
    expect((await net.run(Promise.resolve(transfer))).id).toBe(message.id)
    await net.run(watching)
    expect(seen.at(-1)).toMatchObject({ doneBytes: size, totalBytes: size })
    if (size > 1e6) expect((links() - before) / size).toBeLessThan(1.01)
    expect(sha3(await net.run(collect(message.download().readable)))).toBe(sha3(bytes))
    const own = await net.run(chat.message(message.id))
    expect(isFile(own) && own.own && sha3(await net.run(collect(own.download().readable)))).toBe(sha3(bytes))
  })

  it('to a directory of the program, under a name of ours; events tell of it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'jamikit-inbox-'))
    try {
      const message = await sent(someBytes(100_000), '../../evil.sh')
      expect(message.name).toBe('evil.sh')
      const news: TransferNews<FileMessage>[] = []
      bob.on('transfer', (event) => void news.push(event))
      const transfer = message.download(dir)
      await net.run(Promise.resolve(transfer))
      expect(transfer.path).toBe(join(dir, `${message.id}.sh`))
      expect(sha3(readFileSync(transfer.path ?? ''))).toBe(message.sha3)
      await net.settle()
      expect([news[0]?.state, news.at(-1)?.state, news.at(-1)?.messageId, news.at(-1)?.transfer]).toEqual(['active', 'done', message.id, transfer])
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

  it('into a stream, which gets all of it', async () => {
    const message = await sent(someBytes(300_000))
    const parts: Uint8Array[] = []
    await net.run(Promise.resolve(message.download(new WritableStream<Uint8Array>({ write: (bytes) => void parts.push(bytes) }))))
    expect(sha3(Buffer.concat(parts))).toBe(message.sha3)
  })

  it('the same key again sends nothing: the message is the first one', async () => {
    const first = await net.run(Promise.resolve(chat.sendFile(someBytes(100), { idempotencyKey: 'k' })))
    const again = await net.run(Promise.resolve(chat.sendFile(someBytes(100), { idempotencyKey: 'k' })))
    expect(again.id).toBe(first.id)
    await net.run(chat.send('text', { idempotencyKey: 't' }))
    expect(await code(chat.sendFile(someBytes(100), { idempotencyKey: 't' }))).toBe('ERR_ARGUMENT')
  })
})

describe('cuts, restarts and losses', () => {
  const size = 3 << 20
  const half = (transfer: { progress(): Progress }) => net.clock.runUntil(() => transfer.progress().doneBytes >= size / 2)

  it('SWM-28 cut at half: it goes on when the network is back, and what was here is not sent again', async () => {
    const message = await sent(someBytes(size))
    const before = nodes.bob.stats().bytesIn
    const transfer = message.download()
    await half(transfer)
    net.network.partition(['alice'], ['bob', 'hub'])
    await net.advance(200_000)
    net.network.heal()
    await net.run(Promise.resolve(transfer))
    expect(nodes.bob.stats().bytesIn - before).toBeLessThan(1.2 * size) // links that are gone do not count
    expect(sha3(await net.run(collect(message.download().readable)))).toBe(message.sha3)
  })

  it('SWM-28 Bob is restarted at half: the file comes by itself, from where it stopped', async () => {
    const message = await sent(someBytes(size))
    const transfer = message.download()
    await half(transfer)
    await net.run(nodes.bob.close({ graceMs: 0 }))
    expect(await code(transfer)).toBe('ERR_CLOSED')
    await net.advance(5_000)
    const again = await open('bob')
    await net.clock.runUntil(() => [...contents.bob.files.keys()].some((name) => name.endsWith(message.sha3))) // nobody asked
    expect(again.node.stats().bytesIn).toBeLessThan(0.6 * size)
    const here = await net.run(again.account.conversations.get(chat.id).message(message.id))
    expect(isFile(here) && sha3(await net.run(collect(here.download().readable)))).toBe(message.sha3)
  })

  it('nobody has it any more: ERR_FILE_GONE', async () => {
    const message = await sent(someBytes(1000))
    for (const name of [...contents.alice.files.keys()]) if (name.includes('/transfers/')) contents.alice.files.delete(name)
    expect(await code(message.download())).toBe('ERR_FILE_GONE')
  })

  it('SWM-28 the bytes have changed where they lie: ERR_FILE_HASH, and nothing of them stays', async () => {
    const message = await sent(someBytes(1000))
    for (const [name, bytes] of contents.alice.files) if (name.includes('/transfers/')) bytes.fill(0, 0, 10)
    expect(await code(message.download())).toBe('ERR_FILE_HASH')
    expect([...contents.bob.files.keys()].filter((name) => name.includes('/transfers/'))).toEqual([])
  })

  it('nobody is there: it waits as long as it may, and the next try finds what came', async () => {
    const message = await sent(someBytes(size))
    const transfer = message.download(undefined, { timeoutMs: 600_000 })
    await half(transfer)
    net.network.partition(['alice'], ['bob', 'hub'])
    expect(await code(transfer)).toBe('ERR_TIMEOUT')
    expect(bob.files.active()).toEqual([])
    net.network.heal()
    const again = message.download()
    await net.clock.runUntil(() => again.progress().doneBytes > 0)
    expect(again.progress().doneBytes).toBeGreaterThanOrEqual(size / 2)
    await net.run(Promise.resolve(again))
  })
})

it('in a sealed profile files are sealed: sent, fetched, cut and resumed as in any other', async () => {
  const kept = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
  const node = await net.createNode({ host: 'carol', storage: memoryStorage(kept), encryptionKey: new Uint8Array(32).fill(7) })
  const carol = await net.run(node.accounts.open('carol'))
  await net.run(carol.ready())
  await net.befriend(carol, bob)
  const marker = new TextEncoder().encode('a marker that nobody may read at rest. '.repeat(40_000))
  const hearing = heard()
  await net.run(Promise.resolve((await net.run(carol.conversations.with(bob.uri))).sendFile(marker)))
  const message = await net.run(hearing)
  const transfer = message.download()
  await net.clock.runUntil(() => transfer.progress().doneBytes > marker.length / 3)
  net.network.partition(['carol'], ['bob', 'hub'])
  await net.advance(60_000)
  net.network.heal()
  await net.run(Promise.resolve(transfer))
  expect(sha3(await net.run(collect(transfer.readable)))).toBe(sha3(marker))
  const stored = [...kept.files.values()].reduce((sum, bytes) => sum + bytes.length, 0)
  expect(stored).toBeGreaterThan(marker.length)
  for (const bytes of kept.files.values()) expect(Buffer.from(bytes).includes('a marker that nobody')).toBe(false)
})

it('a large file has a link of its own: texts keep to theirs and arrive meanwhile; afterwards that link goes', async () => {
  const message = await sent(someBytes(8 << 20))
  const before = nodes.bob.stats().links
  const transfer = message.download()
  await net.clock.runUntil(() => transfer.progress().doneBytes > 1 << 20)
  const arrived: string[] = []
  bob.on('message', (one) => void (one.type === 'text' && arrived.push(one.text)))
  for (let i = 0; i < 5; i++) await net.run(chat.send(`text ${i}`))
  await net.advance(1_000)
  expect([arrived.length, nodes.bob.stats().links]).toEqual([5, before + 1])
  await net.run(Promise.resolve(transfer))
  await net.advance(120_000)
  expect(nodes.bob.stats().links).toBe(before)
})

it('without the package media everything works but files, which say what is missing', async () => {
  const node = await net.createNode({ host: 'carol', modules: { media: undefined as never } })
  const carol = await net.run(node.accounts.open('carol'))
  const alone = await net.run(carol.contacts.add(alice.uri))
  await expect(net.run(Promise.resolve(alone.sendFile(new Uint8Array(1))))).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED', message: expect.stringContaining('@jamikit/media') })
  expect(() => carol.files.setPolicy({})).toThrow('@jamikit/media')
  expect((await net.run(alone.send('text'))).type).toBe('text')
})
