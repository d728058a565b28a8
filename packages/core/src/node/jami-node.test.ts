// A whole node over the doubles of its modules: how it starts, what it reports and to whom, accounts by label, and what contacts,
// conversations and messages look like to a program.
import { describe, expect, it, vi } from 'vitest'
import { closeAll, friends, world } from '../../test/nodes.ts'
import { JamiError } from '../base/errors.ts'
import { decodeMsgpack, encodeMsgpack } from '../codec/msgpack.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { MessageId } from '../contracts/ids.ts'
import type { ConversationsModule } from '../contracts/module.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { type TestStorage, testStorage } from '../testing/test-storage.ts'
import type { Account, Conversation, Message } from './api.ts'
import { createJamiNode } from './create-node.ts'
import type { PublicAccount } from './public-account.ts'
import { parseAccountUri, parseConversationId, parseDeviceId, parseMessageId } from './public-ids.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Process warnings while `work` runs. */
async function warnings(work: () => Promise<unknown>): Promise<{ code: string; message: string; detail?: string }[]> {
  const seen: { code: string; message: string; detail?: string }[] = []
  const spy = vi.spyOn(process, 'emitWarning').mockImplementation((message, options) => {
    const { code, detail } = options as { code: string; detail?: string }
    seen.push({ code, message: String(message), ...(detail === undefined ? {} : { detail }) })
  })
  try {
    await work()
  } finally {
    spy.mockRestore()
  }
  return seen
}

describe('createJamiNode', () => {
  const w = world()
  const dht = { port: 4222 }
  it.each<[string, unknown, string]>([
    ['an empty storage path', { storage: '' }, 'storage'],
    ['a storage without methods', { storage: {} }, 'storage'],
    ['a number as storage', { storage: 7 }, 'storage'],
    ['no bootstrap', { network: {} }, 'network.bootstrap'],
    ['no network', { network: undefined }, 'network.bootstrap'],
    ['a text as bootstrap', { network: { bootstrap: 'host:1' } }, 'network.bootstrap'],
    ['an empty host', { network: { bootstrap: [''] } }, 'network.bootstrap[0]'],
    ['a port beyond 65,535', { dht: { ...dht, port: 65_536 } }, 'dht.port'],
    ['an unknown option', { bootstrap: [] }, 'bootstrap'],
    ['an unknown option of the DHT', { dht: { ports: 1 } }, 'dht.ports'],
    ['an unknown level', { logger: 'verbose' }, 'logger'],
    ['a logger without methods', { logger: {} }, 'logger'],
    ['a logger that lacks a level', { logger: { ...console, trace: undefined } }, 'logger'],
    ['a signal that is none', { signal: {} }, 'signal'],
    ['a module that is no function', { modules: { dht: {} } }, 'modules.dht'],
    ['a clock that is none', { runtime: { clock: {} } }, 'runtime.clock'],
  ])('refuses %s, naming the field', async (_what, bad, field) => {
    await expect(createJamiNode({ ...w.options(), ...(bad as object) })).rejects.toMatchObject({ code: 'ERR_ARGUMENT', details: { field } })
  })

  it.each([undefined, null, 7, 'x', []])('refuses %s as options', async (bad) => {
    await expect(createJamiNode(bad as never)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', details: { field: 'options' } })
  })

  it('says which modules are missing', async () => {
    await expect(createJamiNode({ ...w.options(), modules: {} as never })).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED', message: expect.stringContaining('got none, allowed dht, connections and conversations') })
  })

  it('takes console as logger: the message first, then the fields', async () => {
    const lines: unknown[][] = []
    const like = { trace() {}, debug() {}, info() {}, warn: (...line: unknown[]) => lines.push(line), error: (...line: unknown[]) => lines.push(line) }
    const own = world()
    const node = await own.node({ logger: like })
    node.on('error', () => {})
    node.on('state', () => { throw new Error('listener') })
    await closeAll(own, node)
    expect(lines).toEqual([['error', { err: expect.objectContaining({ message: 'listener' }), source: 'listener of state' }]])
  })
})

describe('an account that cannot start', () => {
  async function profile() {
    const w = world()
    const storage = memoryStorage()
    const node = await w.node({ storage })
    const uris = [(await w.run(node.accounts.open('good'))).uri, (await w.run(node.accounts.open('bad'))).uri]
    await w.run(node.close())
    const state = { broken: true }
    const conversations: ConversationsModule = (env) => {
      const made = w.module(env)
      if (state.broken && env.identity.accountId === uris[1]) made.start = () => Promise.reject(new JamiError('ERR_STORAGE_CORRUPT', 'a damaged object'))
      return made
    }
    return { ...w, storage, state, again: () => w.node({ storage, modules: { ...w.options().modules, conversations } }) }
  }

  it('is told as `error` to whoever registers in the first turn, and keeps no other from starting', async () => {
    const p = await profile()
    const errors: unknown[] = []
    const seen = await warnings(async () => {
      const node = await p.again()
      node.on('error', ({ error, source }) => errors.push([error.code, source]))
      await p.clock.settle()
      expect(node.accounts.list().map(({ label }) => label)).toEqual(['good'])
      await closeAll(p, node)
    })
    expect([errors, seen]).toEqual([[['ERR_STORAGE_CORRUPT', 'account bad']], []])
  })

  it('is a warning when nobody registers', async () => {
    const p = await profile()
    const seen = await warnings(async () => {
      const node = await p.again()
      await p.clock.settle()
      await closeAll(p, node)
    })
    expect(seen).toMatchObject([{ code: 'JAMI_UNHANDLED_ERROR', message: expect.stringContaining('account bad'), detail: expect.stringContaining("node.on('error'") }])
  })

  it('keeps its label: open() tries to start it again and makes no new one', async () => {
    const p = await profile()
    await warnings(async () => {
      const node = await p.again()
      await expect(p.run(node.accounts.open('bad'))).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
      await expect(p.run(node.accounts.create({ label: 'bad' }))).rejects.toMatchObject({ code: 'ERR_ARGUMENT', details: { field: 'label' } })
      p.state.broken = false
      const account = await p.run(node.accounts.open('bad'))
      expect([account.label, node.accounts.list().length, node.accounts.get('bad')]).toEqual(['bad', 2, account])
      await closeAll(p, node)
    })
  })
})

describe('an account whose record cannot be read', () => {
  it('is told as `error` and keeps its label; the others start', async () => {
    const w = world()
    const storage = testStorage()
    const node = await w.node({ storage })
    const [good, bad] = [await w.run(node.accounts.open('good')), await w.run(node.accounts.open('bad'))]
    await w.run(node.close())
    const key = `accounts/${bad.uri}/identity`
    const record = decodeMsgpack((await storage.get(key)) ?? new Uint8Array(0)) as Map<string, unknown>
    await storage.batch([{ key, value: encodeMsgpack({ ...Object.fromEntries(record), chain: 'no certificate' } as never) }])
    const again = await w.node({ storage: memoryStorageOf(storage) })
    const errors: unknown[] = []
    again.on('error', ({ error, source }) => errors.push([error.code, source]))
    await w.clock.settle()
    expect([errors, again.accounts.list().map(({ uri }) => uri)]).toEqual([[['ERR_STORAGE_CORRUPT', 'account bad']], [good.uri]])
    await expect(w.run(again.accounts.open('bad'))).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    await closeAll(w, again)
  })
})

describe('accounts by label', () => {
  it('are listed, found, made once, and removed; a label that is not there is ERR_NOT_FOUND', async () => {
    const w = world()
    const node = await w.node()
    const [a, b] = [await w.run(node.accounts.open('a')), await w.run(node.accounts.create())]
    expect([node.accounts.list(), node.accounts.get('a'), await w.run(node.accounts.open('a'))]).toEqual([[a, b], a, a])
    expect(() => node.accounts.get('b')).toThrow(expect.objectContaining({ code: 'ERR_NOT_FOUND' }))
    await w.run(node.accounts.remove(a))
    expect(node.accounts.list()).toEqual([b])
    await expect(w.run(node.accounts.remove(a))).rejects.toMatchObject({ code: 'ERR_CLOSED', message: 'the account was closed' })
    const all: Account[] = []
    for await (const account of node.accounts) all.push(account)
    expect(all).toEqual([b])
    // a number that is in use is not given again
    expect((await w.run(node.accounts.create())).label).not.toBe(b.label)
    await closeAll(w, node)
  })

  it('open() sets the display name that it is given, for good, and leaves it alone without', async () => {
    const w = world()
    const storage = memoryStorage()
    const first = await w.node({ storage })
    const names = [(await w.run(first.accounts.open('a', { displayName: 'One' }))).profile.displayName, (await w.run(first.accounts.open('a', { displayName: 'Two \ud83d' }))).profile.displayName]
    await w.run(first.close())
    const second = await w.node({ storage })
    const account = await w.run(second.accounts.open('a'))
    expect([...names, account.profile.displayName]).toEqual(['One', 'Two \ufffd', 'Two \ufffd'])
    await w.run(account.profile.set({ displayName: 'Three' }))
    expect((await w.run(second.accounts.open('a'))).profile.displayName).toBe('Three')
    await closeAll(w, second)
  })
})

describe('errors where nobody waits', () => {
  it('of a listener reach `error`, or are one warning with the hint what to register, though the logger is silent', async () => {
    for (const registered of [true, false]) {
      const f = await friends()
      const errors: string[] = []
      if (registered) f.his.on('error', ({ error, source }) => errors.push(`${source}: ${error.code} ${error.message}`))
      const seen = await warnings(async () => {
        f.bob.on('message', () => { throw new Error('oops') })
        for (const text of ['1', '2']) await f.run(f.chat.send(text))
        await f.clock.advance(5000)
      })
      expect(errors).toEqual(registered ? ['listener of message: ERR_LISTENER oops', 'listener of message: ERR_LISTENER oops'] : [])
      expect(seen.map(({ code }) => code)).toEqual(registered ? [] : ['JAMI_UNHANDLED_ERROR'])
      await closeAll(f, f.hers, f.his)
    }
  })

  it('of a listener of `error` itself are a warning, and no endless chain', async () => {
    const w = world()
    const node = await w.node()
    node.on('error', () => { throw new Error('in error') })
    node.on('state', () => { throw new Error('in state') })
    const seen = await warnings(() => closeAll(w, node))
    expect(seen).toMatchObject([{ code: 'JAMI_ERROR_LISTENER', message: expect.stringContaining('in error') }])
  })

  it('waits that the program has left are no uncaught rejections at close()', async () => {
    const f = await friends()
    const uncaught: unknown[] = []
    const note = (error: unknown) => uncaught.push(error)
    const others = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', note)
    try {
      const lonely = await f.node()
      const account = await f.run(lonely.accounts.open('lonely'))
      const message = await f.run(f.chat.send('x'))
      void f.bob.once('typing')
      void f.his.once('error')
      void account.ready({ timeoutMs: 1 })
      void message.delivered({ to: account.uri })
      await closeAll(f, f.hers, f.his, lonely)
      await turn()
    } finally {
      process.off('unhandledRejection', note)
      for (const other of others) process.on('unhandledRejection', other)
    }
    expect(uncaught).toEqual([])
  })

  it('everything that is closed says so in the same words', async () => {
    const f = await friends()
    const message = await f.run(f.chat.send('x'))
    await closeAll(f, f.hers, f.his)
    const outcomes = await Promise.all([
      f.hers.once('state'), f.hers.accounts.open('more'), f.alice.once('message'), f.alice.ready(), f.chat.send('y'), message.delivered({ to: f.bob.uri, status: 'displayed' }), f.alice.contacts.remove(f.bob.uri),
    ].map((work) => f.run(work as Promise<unknown>).catch((error: unknown) => error)))
    expect(outcomes.map((error) => (error as JamiError).code)).toEqual(Array(outcomes.length).fill('ERR_CLOSED'))
    for (const error of outcomes) expect((error as JamiError).message).toMatch(/^the (node|account) was closed$/)
  })
})

describe('contacts and conversations', () => {
  it('are found by plain strings of any case; who and what is not there is ERR_NOT_FOUND with details', async () => {
    const f = await friends()
    expect(f.alice.contacts.get(`jami:${f.bob.uri.toUpperCase()}`)).toEqual(f.alice.contacts.list()[0])
    const stored: string = f.chat.id
    expect(f.alice.conversations.get(stored)).toBe(f.alice.conversations.list()[0])
    expect(f.alice.conversations.get(stored.toUpperCase()).id).toBe(stored)
    const missing = expect.objectContaining({ code: 'ERR_NOT_FOUND', details: expect.objectContaining({ what: expect.any(String) }) })
    expect(() => f.alice.contacts.get('f'.repeat(40))).toThrow(missing)
    expect(() => f.alice.conversations.get('f'.repeat(40))).toThrow(missing)
    await expect(f.run(f.chat.message('f'.repeat(40)))).rejects.toEqual(missing)
    await closeAll(f, f.hers, f.his)
  })

  it('a message has its author with the name, when it is known; our own has ours', async () => {
    const f = await friends()
    const arriving = f.bob.once('message')
    const sent = await f.run(f.chat.send('hello'))
    expect(sent.author).toMatchObject({ uri: f.alice.uri, displayName: 'Alice' })
    const got = await f.run(arriving)
    expect(got.author).toEqual(f.bob.contacts.get(f.alice.uri))
    expect(got.author.displayName).toBe('Alice')
    await closeAll(f, f.hers, f.his)
  })
})

describe('what a peer wrote', () => {
  it.each([['not an id', undefined], ['A'.repeat(40), undefined], ['a'.repeat(41), undefined], ['a'.repeat(40), 'a'.repeat(40)]])('as reply-to %s is shown as %s', async (written, shown) => {
    const f = await friends()
    const { conversations } = (f.bob as PublicAccount).local
    const entry = await f.run(conversations.entry(f.hisChat.id, f.hisChat.head as MessageId))
    conversations.entry = async () => ({ ...(entry as ConversationEntry), type: 'text/plain', fields: { body: 'x', 'reply-to': written } })
    expect((await f.run(f.hisChat.message('b'.repeat(40)))).replyTo).toBe(shown)
    await closeAll(f, f.hers, f.his)
  })
})

describe('send', () => {
  it('replaces half surrogate pairs in text and key before anything is signed', async () => {
    const f = await friends()
    const first = await f.run(f.chat.send('broken \ud83d', { idempotencyKey: 'key \ud83d' }))
    const again = await f.run(f.chat.send('broken \ufffd', { idempotencyKey: 'key \ufffd' }))
    expect([first.text, again.id]).toEqual(['broken \ufffd', first.id])
    await closeAll(f, f.hers, f.his)
  })

  it('with another text under a key that was used gives the stored message, and warns', async () => {
    const f = await friends()
    const first = await f.run(f.chat.send('one', { idempotencyKey: 'key' }))
    const seen = await warnings(async () => {
      expect((await f.run(f.chat.send('one', { idempotencyKey: 'key' }))).id).toBe(first.id)
      expect(await f.run(f.chat.send('two', { idempotencyKey: 'key' }))).toMatchObject({ id: first.id, text: 'one' })
      expect(await f.run(f.chat.send('one', { idempotencyKey: 'key', replyTo: first.id }))).toMatchObject({ id: first.id })
    })
    expect(seen).toMatchObject([{ code: 'JAMI_KEY_REUSED', message: expect.stringContaining(first.id) }, { code: 'JAMI_KEY_REUSED' }])
    expect(JSON.stringify(seen)).not.toMatch(/one|two/)
    await closeAll(f, f.hers, f.his)
  })

  it('takes texts of 65,536 characters and no more', async () => {
    const f = await friends()
    expect((await f.run(f.chat.send('x'.repeat(65_536)))).text.length).toBe(65_536)
    await expect(f.run(f.chat.send('x'.repeat(65_537)))).rejects.toMatchObject({ code: 'ERR_ARGUMENT', details: { field: 'text', got: 'a text of 65537 characters' } })
    await closeAll(f, f.hers, f.his)
  })
})

describe("events('message')", () => {
  async function unread(count: number) {
    const f = await friends()
    for (let i = 0; i < count; i++) await f.run(f.chat.send(`${i}`))
    await f.clock.advance(5000)
    return f
  }
  const text = (message: Message) => (message.type === 'text' ? message.text : message.type)

  it('gives 1,500 unread messages, each once and in order, without ERR_LIMIT; after a break in the middle the rest is still there', async () => {
    const f = await friends()
    const conversations = (f.bob as PublicAccount).local.conversations
    const [template] = [await f.run(conversations.entry(f.chat.id, f.chat.head as MessageId))]
    let handled = 0
    conversations.unacknowledged = async function* () {
      for (let i = handled; i < 1500; i++) yield { ...(template as ConversationEntry), id: `${i}` as MessageId, parents: [], type: 'text/plain', fields: { body: `${i}` } }
    }
    conversations.acknowledge = async (_, id) => {
      expect(id).toBe(`${handled++}`)
    }
    const got: string[] = []
    for await (const message of f.bob.events('message', { bufferSize: 1 })) if (got.push(text(message)) === 1200) break
    await f.clock.settle()
    expect(handled).toBe(1199) // the one that the loop was left with comes again
    got.pop()
    for await (const message of f.bob.events('message')) if (got.push(text(message)) === 1500) break
    expect(got).toEqual(Array.from({ length: 1500 }, (_, i) => `${i}`))
    await closeAll(f, f.hers, f.his)
  })

  it('a process that ends in the middle of a message gets that one again, and none that was handled', async () => {
    const f = await unread(5)
    const loop = f.bob.events('message')
    for (let i = 0; i < 3; i++) await loop.next() // 0 and 1 are handled, 2 is in hand
    await f.clock.settle()
    const again = await f.node({ storage: memoryStorageOf(f.storage) })
    const bob = await f.run(again.accounts.open('bob'))
    expect(text((await bob.events('message').next()).value as Message)).toBe('2')
    await f.run(Promise.all([f.his.close({ graceMs: 0 }), again.close({ graceMs: 0 }), f.hers.close()]))
  })

  it('and listeners share one timeline: what listeners have handled does not come to a later loop', async () => {
    const f = await unread(3)
    const off = f.bob.on('message', () => {})
    await f.clock.advance(1000)
    off()
    await f.run(f.chat.send('later'))
    await f.clock.advance(5000)
    expect(text((await f.bob.events('message').next()).value as Message)).toBe('later')
    await f.run(Promise.all([f.his.close({ graceMs: 0 }), f.hers.close()]))
  })

  it('close() lets the body of the loop finish, and that counts as handled', async () => {
    const f = await unread(2)
    const got: string[] = []
    const loop = (async () => {
      for await (const message of f.bob.events('message')) {
        got.push(text(message))
        if (got.length === 2) void f.his.close()
        await turn()
      }
    })()
    await f.run(loop)
    const bob = await f.run((await f.node({ storage: memoryStorageOf(f.storage) })).accounts.open('bob'))
    const next = bob.events('message').next()
    await f.run(f.chat.send('new'))
    expect([got, text((await f.run(next)).value as Message)]).toEqual([['0', '1'], 'new'])
    await f.run(f.hers.close())
  })
})

/** What a process that ended has left on the disk. */
function memoryStorageOf(storage: TestStorage) {
  return testStorage({ records: new Map(storage.contents.records), files: new Map(storage.contents.files) })
}

describe('ids from strings', () => {
  it.each([
    ['parseConversationId', parseConversationId, 40], ['parseMessageId', parseMessageId, 40], ['parseDeviceId', parseDeviceId, 64],
  ])('%s takes its number of hex digits in any case, and nothing else', (_name, parse, digits) => {
    expect(parse('AB'.repeat(digits / 2))).toBe('ab'.repeat(digits / 2))
    for (const bad of ['', 'a'.repeat(digits - 1), 'a'.repeat(digits + 1), 'g'.repeat(digits), 7, null, undefined, {}, ['a'.repeat(digits)]])
      expect(() => parse(bad as string)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', details: expect.objectContaining({ allowed: `${digits} hex digits` }) }))
  })

  it('parseAccountUri takes every form of an address', () => {
    const id = 'ab'.repeat(20)
    for (const form of [id, `jami:${id}`, `ring:${id}`, id.toUpperCase()]) expect(parseAccountUri(form)).toBe(id)
    for (const bad of ['', 'alice', 7, null]) expect(() => parseAccountUri(bad as string)).toThrow(expect.objectContaining({ code: 'ERR_ADDRESS_INVALID', details: expect.objectContaining({ field: 'account' }) }))
  })
})

it('a conversation whose history hides a message still answers with what it has', async () => {
  const f = await friends()
  const sent = await f.run(f.chat.send('one'))
  const read = async (chat: Conversation, options = {}) => {
    const out: string[] = []
    for await (const message of chat.history(options)) out.push(message.id)
    return out
  }
  expect(await f.run(read(f.chat, { limit: 1 }))).toEqual([sent.id])
  expect(await f.run(read(f.chat, { limit: 1, timeoutMs: 1000, signal: new AbortController().signal }))).toEqual([sent.id])
  await expect(f.run(read(f.chat, { signal: AbortSignal.abort('stop') }))).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: 'stop' })
  await closeAll(f, f.hers, f.his)
})
