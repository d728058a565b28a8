// Every public method that waits can be aborted and timed, ends at once then, and leaves nothing behind. The table cannot be
// incomplete: a method of the API with a `timeoutMs` that is missing here is a type error.
import { getEventListeners } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Account, Accounts, ContactRequest, Contacts, Conversation, ConversationList, JamiNode, Op, Peer, PublicDht, TextMessage } from '@jamikit/core'
import { createTestNetwork, type TestNetwork } from 'jamikit/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

type HasTimeout<P> = P extends object ? ('timeoutMs' extends keyof P ? true : never) : never
/** Names of the methods of T that take `signal` and `timeoutMs`. */
type Waiting<T> = { [K in keyof T & string]: T[K] extends (...args: infer A) => unknown ? (true extends HasTimeout<A[number]> ? K : never) : never }[keyof T & string]

interface Case {
  readonly call: (op: Op) => Promise<unknown>
  /** May be over before any time passes: it has no time-out to reach. */
  readonly instant?: true
}

interface Table {
  readonly node: Record<Waiting<JamiNode>, Case>
  readonly accounts: Record<Waiting<Accounts>, Case>
  readonly account: Record<Waiting<Account>, Case>
  readonly profile: Record<Waiting<Account['profile']>, Case>
  readonly contacts: Record<Waiting<Contacts>, Case>
  readonly request: Record<Waiting<ContactRequest>, Case>
  readonly conversations: Record<Waiting<ConversationList>, Case>
  readonly conversation: Record<Waiting<Conversation>, Case>
  readonly message: Record<Waiting<TextMessage>, Case>
  readonly peer: Record<Waiting<Peer>, Case>
  readonly dht: Record<Waiting<PublicDht>, Case>
}

let net: TestNetwork
let alice: Account
let bob: Account
let conversation: Conversation
let message: TextMessage
let gone: TextMessage
let group: Conversation
let left: Conversation
let node: JamiNode
let lonely: Account
let request: ContactRequest
const stranger = (n: number) => n.toString(16).padStart(40, 'f')
let strangers = 0
let victims: Account[]
const directory = mkdtempSync(join(tmpdir(), 'jamikit-operations-'))

/** Alice and Bob are friends, Carol has asked Alice; then everybody is alone: nothing that needs others can end. */
beforeAll(async () => {
  net = await createTestNetwork({ seed: 99 })
  alice = await net.account('alice')
  bob = await net.account('bob')
  const carol = await net.account('carol')
  await net.befriend(alice, bob)
  conversation = await net.run(alice.conversations.with(bob.uri))
  const asked = alice.once('contact:request')
  await net.run(carol.contacts.add(alice.uri))
  request = await net.run(asked)
  net.partition([alice], [bob], [carol])
  await net.advance(600_000)
  message = await net.run(conversation.send('nobody hears this'))
  gone = await net.run(conversation.send('nobody will see this'))
  group = await net.run(alice.conversations.create({ title: 'group', members: [stranger(1)] }))
  left = await net.run(alice.conversations.create())
  net.network.partition(['alice'], ['bob'], ['carol'], ['hub'], ['lonely'])
  node = await net.createNode({ host: 'lonely' })
  lonely = await net.run(node.accounts.open('lonely'))
  victims = await net.run(Promise.all(['a', 'b', 'c', 'd', 'e'].map((label) => node.accounts.open(`victim ${label}`))))
})

afterAll(async () => {
  rmSync(directory, { recursive: true, force: true })
  await net[Symbol.asyncDispose]()
  await net.advance(120_000)
  expect([net.network.openSockets(), net.clock.pending()]).toEqual([[], []])
})

const drain = async (all: AsyncIterable<unknown>) => {
  for await (const _ of all) void _
}

const table: Table = {
  node: { once: { call: (op) => node.once('error', op) } },
  accounts: {
    create: { call: (op) => node.accounts.create({ label: `made ${strangers++}`, ...op }), instant: true },
    open: { call: (op) => node.accounts.open(`opened ${strangers++}`, op), instant: true },
    import: { call: async (op) => node.accounts.import(await alice.export(), { label: `imported ${strangers++}`, ...op }), instant: true },
    remove: { call: (op) => node.accounts.remove(victims.pop() as Account, op), instant: true },
  },
  account: { once: { call: (op) => alice.once('message', op) }, ready: { call: (op) => lonely.ready(op) }, export: { call: (op) => alice.export(op), instant: true } },
  profile: { set: { call: (op) => alice.profile.set({ displayName: 'alice' }, op), instant: true } },
  contacts: {
    add: { call: (op) => alice.contacts.add(stranger(++strangers), op), instant: true },
    remove: { call: (op) => alice.contacts.remove(stranger(++strangers), op), instant: true },
    unban: { call: (op) => alice.contacts.unban(stranger(++strangers), op), instant: true },
  },
  request: { accept: { call: (op) => request.accept(op) }, decline: { call: (op) => request.decline({ ban: true, ...op }), instant: true } },
  conversations: {
    with: { call: (op) => alice.conversations.with(stranger(++strangers), op), instant: true },
    create: { call: (op) => alice.conversations.create({ title: 'made', ...op }), instant: true },
  },
  conversation: {
    send: { call: (op) => conversation.send('text', op), instant: true },
    sendFile: { call: async (op) => conversation.sendFile(new Uint8Array(10), op), instant: true },
    sync: { call: (op) => conversation.sync(op) },
    message: { call: (op) => conversation.message(message.id, op), instant: true },
    markRead: { call: (op) => conversation.markRead(message.id, op), instant: true },
    history: { call: async (op) => drain(conversation.history(op)), instant: true },
    search: { call: async (op) => drain(conversation.search({ text: 'text', ...op })), instant: true },
    profile: { call: (op) => conversation.profile(op), instant: true },
    update: { call: (op) => group.update({ title: 'new' }, op), instant: true },
    setPreferences: { call: (op) => conversation.setPreferences({ color: 'red' }, op), instant: true },
    invite: { call: (op) => group.invite(stranger(++strangers), op), instant: true },
    ban: { call: (op) => group.ban(stranger(1), op), instant: true },
    unban: { call: (op) => group.unban(stranger(1), op), instant: true },
    leave: { call: (op) => left.leave(op), instant: true },
    export: { call: (op) => conversation.export(join(directory, `${strangers++}`), op), instant: true },
  },
  message: {
    reply: { call: (op) => message.reply('text', op), instant: true },
    delivered: { call: (op) => message.delivered(op) },
    edit: { call: (op) => message.edit('nobody hears this', op), instant: true },
    react: { call: (op) => message.react('x', op), instant: true },
    unreact: { call: (op) => message.unreact('y', op), instant: true },
    delete: { call: (op) => gone.delete(op), instant: true },
  },
  peer: {
    devices: { call: (op) => node.connect(bob.uri, { account: lonely }).devices(op) },
    openChannel: { call: (op) => node.connect(bob.uri, { account: lonely }).openChannel('echo', op) },
    close: { call: (op) => node.connect(bob.uri, { account: lonely }).close(op), instant: true },
  },
  dht: {
    ready: { call: (op) => node.dht.ready(op) },
    get: { call: async (op) => drain(node.dht.get(node.dht.random(), op)) },
    put: { call: (op) => node.dht.put(node.dht.random(), 'x', op) },
  },
}

const cases = Object.entries(table).flatMap(([object, methods]) => Object.entries(methods as Record<string, Case>).map(([method, c]) => [`${object}.${method}()`, c] as const))

describe.each(cases)('%s', (_name, { call, instant }) => {
  it('with a signal that has fired rejects with ERR_ABORTED and its reason', async () => {
    const reason = new Error('before')
    await expect(net.run(call({ signal: AbortSignal.abort(reason) }))).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason })
  })

  it('rejects as soon as its signal fires, and takes its listener away', async () => {
    const stop = new AbortController()
    const reason = { any: 'reason' }
    const outcome = call({ signal: stop.signal }).then(() => 'done', (error: unknown) => error)
    const before = net.clock.now()
    for (let i = 0; i < 20 && getEventListeners(stop.signal, 'abort').length === 0; i++) await Promise.resolve()
    stop.abort(reason)
    expect(await outcome).toMatchObject({ code: 'ERR_ABORTED', cause: reason })
    expect([net.clock.now() - before, getEventListeners(stop.signal, 'abort').length]).toEqual([0, 0])
  })

  if (!instant) it('rejects with ERR_TIMEOUT after timeoutMs, no sooner and no later', async () => {
    const before = net.clock.now()
    const stop = new AbortController()
    const outcome = call({ timeoutMs: 700, signal: stop.signal }).then(() => 'done', (error: unknown) => ({ error, at: net.clock.now() - before }))
    await net.advance(700)
    expect(await outcome).toMatchObject({ error: { code: 'ERR_TIMEOUT', details: { timeoutMs: 700 } }, at: 700 })
    expect(getEventListeners(stop.signal, 'abort').length).toBe(0)
  })

  it.each([-1, Number.NaN, '5'])('with timeoutMs %s rejects with ERR_ARGUMENT', async (timeoutMs) => {
    await expect(net.run(call({ timeoutMs: timeoutMs as number }))).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  })
})

it('afterwards everything works: Bob gets what Alice wrote while nobody was there', async () => {
  const arriving = bob.once('message', { filter: (m) => m.type === 'text' && m.text === 'nobody hears this' })
  net.heal()
  await net.run(Promise.all([message.delivered({ to: bob.uri }), arriving]))
})
