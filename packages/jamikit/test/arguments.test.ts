// Every argument of every public method is checked at the call, also in plain JavaScript. The table cannot be incomplete: a method of
// the API, a parameter of it or one of its options that is missing here is a type error.
import type { Account, Accounts, ContactRequest, Contacts, Conversation, ConversationList, JamiNode, Peer, PublicDht, TextMessage } from '@jamikit/core'
import { createJamiNode, isolated } from 'jamikit'
import { createTestNetwork, type TestNetwork } from 'jamikit/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

type Method = (...args: never[]) => unknown
type Methods<T> = { [K in keyof T & string]: T[K] extends Method ? K : never }[keyof T & string]
type Args<F> = F extends (...args: infer A) => unknown ? (Required<A> extends infer R extends unknown[] ? R : never) : never
/** A parameter that is a set of options: an object of which everything may be left out. */
type IsOptions<P> = P extends Method | string | Uint8Array ? false : P extends object ? (Record<never, never> extends P ? true : false) : false
type OptionsOf<A> = A extends [...infer _, infer L] ? (IsOptions<L> extends true ? L : never) : never
type Positional<A> = A extends [...infer R, infer L] ? (IsOptions<L> extends true ? R : A) : []
type Asynchronous<F> = F extends (...args: never[]) => infer R ? (R extends PromiseLike<unknown> ? true : false) : never

type Each<T extends readonly unknown[], V> = { [I in keyof T]: V }
type Bad = readonly unknown[]
interface Row<F> {
  readonly call: F
  /** Good positional arguments, and bad values for each of them. */
  readonly good: () => Each<Positional<Args<F>>, unknown>
  readonly bad: Each<Positional<Args<F>>, Bad>
  readonly options: [OptionsOf<Args<F>>] extends [never] ? undefined : { [K in keyof OptionsOf<Args<F>>]-?: Bad }
  readonly async: Asynchronous<F>
}
type Rows<T, Without extends string = never> = { [K in Exclude<Methods<T>, Without>]: (object: T) => Row<T[K]> }

const NO_TEXT = [7, null, {}, ['x'], true]
const text = (max: number): Bad => [...NO_TEXT, '', 'x'.repeat(max + 1), 'a\0b']
const maybeEmpty = (max: number): Bad => [...NO_TEXT, 'x'.repeat(max + 1), 'a\0b']
const ID: Bad = [...NO_TEXT, '', 'a'.repeat(39), 'a'.repeat(41), 'g'.repeat(40)]
const DEVICE: Bad = [...NO_TEXT, '', 'a'.repeat(63), 'a'.repeat(40), 'g'.repeat(64)]
const PEER: Bad = [7, null, {}, { uri: 7 }, true, '', 'nobody', 'a'.repeat(39), 'https://example.org']
const BOOLEAN: Bad = [0, 1, 'true', null, {}]
const FUNCTION: Bad = [7, 'f', null, {}]
const SIGNAL: Bad = [7, 'abort', null, {}, new AbortController()]
const MS: Bad = [-1, Number.NaN, '5', null, {}, 5n]
const EVENT: Bad = ['mesage', '', 'constructor', '__proto__', 7, null, {}]
const ACCOUNT: Bad = [7, 'main', null, {}, { uri: 'a'.repeat(40) }]
/** The DHT finds out when it needs the account's key. */
const ACCOUNT_LIKE: Bad = [7, 'main', null, true]
const whole = (max: number): Bad => [-1, 1.5, Number.NaN, '1', null, max + 1]
const OP = { signal: SIGNAL, timeoutMs: MS }
const NAME = maybeEmpty(1000)
const line = (max: number): Bad => [...NO_TEXT.filter((value) => value !== null), '', 'x'.repeat(max + 1), 'a\0b', 'a\nb', 'a\rb']
const AVATAR: Bad = [7, 'x', {}, [1, 2], new Uint8Array(0), new Uint8Array(65_537)]
const GROUP = { title: [...line(1000), null], description: [...line(10_000), null], avatar: [...AVATAR, null] }
const DATE: Bad = [7, '2026-01-01', null, {}, new Date(Number.NaN)]
const PASSWORD = maybeEmpty(1024)
const stranger = 'f'.repeat(40)

function emitter<T extends JamiNode | Account>(event: string): (T extends JamiNode ? Pick<Rows<JamiNode>, 'on' | 'once' | 'events'> : Pick<Rows<Account>, 'on' | 'once' | 'events'>) {
  const rows: Rows<Pick<JamiNode, 'on' | 'once' | 'events'>> = {
    on: (it) => ({ call: it.on.bind(it), good: () => [event, () => {}], bad: [EVENT, FUNCTION], options: { signal: SIGNAL }, async: false }),
    once: (it) => ({ call: it.once.bind(it), good: () => [event], bad: [EVENT], options: { ...OP, filter: FUNCTION }, async: true }),
    events: (it) => ({ call: it.events.bind(it), good: () => [event], bad: [EVENT], options: { signal: SIGNAL, bufferSize: [0, ...whole(1_000_000)] }, async: false }),
  }
  return rows as never
}

const node: Rows<JamiNode, 'stats'> = {
  ...emitter<JamiNode>('state'),
  connect: (it) => ({ call: it.connect.bind(it), good: () => [stranger], bad: [PEER], options: { account: ACCOUNT, device: DEVICE }, async: false }),
  close: (it) => ({ call: it.close.bind(it), good: () => [], bad: [], options: { graceMs: MS }, async: true }),
}
const accounts: Rows<Accounts, 'list'> = {
  get: (it) => ({ call: it.get.bind(it), good: () => ['a'], bad: [text(100)], options: undefined, async: false }),
  create: (it) => ({ call: it.create.bind(it), good: () => [], bad: [], options: { ...OP, label: text(100), displayName: NAME, password: PASSWORD }, async: true }),
  open: (it) => ({ call: it.open.bind(it), good: () => ['a'], bad: [text(100)], options: { ...OP, displayName: NAME, password: PASSWORD }, async: true }),
  import: (it) => ({
    call: it.import.bind(it), good: () => [new Uint8Array(1)], bad: [[7, 'archive', null, {}, [1, 2]]],
    options: { ...OP, label: text(100), displayName: NAME, password: PASSWORD, archivePassword: PASSWORD }, async: true,
  }),
  remove: (it) => ({ call: it.remove.bind(it), good: () => [alice], bad: [ACCOUNT], options: OP, async: true }),
}
const account: Rows<Account> = {
  ...emitter<Account>('message'),
  export: (it) => ({ call: it.export.bind(it), good: () => [], bad: [], options: { ...OP, password: PASSWORD, currentPassword: PASSWORD }, async: true }),
  ready: (it) => ({ call: it.ready.bind(it), good: () => [], bad: [], options: OP, async: true }),
}
const presence: Rows<Account['presence']> = { get: (it) => ({ call: it.get, good: () => [stranger], bad: [PEER], options: undefined, async: false }) }
const profile: Rows<Account['profile']> = {
  set: (it) => ({ call: it.set, good: () => [{ displayName: 'x' }], bad: [[7, 'x', null, {}, { name: 'x' }, ...NAME.map((displayName) => ({ displayName }))]], options: OP, async: true }),
}
const contacts: Rows<Contacts, 'list' | 'requests'> = {
  get: (it) => ({ call: it.get.bind(it), good: () => [bob.uri], bad: [PEER], options: undefined, async: false }),
  add: (it) => ({ call: it.add.bind(it), good: () => [stranger], bad: [PEER], options: OP, async: true }),
  remove: (it) => ({ call: it.remove.bind(it), good: () => [stranger], bad: [PEER], options: { ...OP, ban: BOOLEAN }, async: true }),
  unban: (it) => ({ call: it.unban.bind(it), good: () => [stranger], bad: [PEER], options: OP, async: true }),
}
const requestRows: Rows<ContactRequest> = {
  accept: (it) => ({ call: it.accept, good: () => [], bad: [], options: OP, async: true }),
  decline: (it) => ({ call: it.decline, good: () => [], bad: [], options: { ...OP, ban: BOOLEAN }, async: true }),
}
const conversations: Rows<ConversationList, 'list' | 'invites'> = {
  get: (it) => ({ call: it.get.bind(it), good: () => [conversation.id], bad: [ID], options: undefined, async: false }),
  with: (it) => ({ call: it.with.bind(it), good: () => [stranger], bad: [PEER], options: OP, async: true }),
  create: (it) => ({ call: it.create.bind(it), good: () => [], bad: [], options: { ...OP, ...GROUP, members: [7, 'x', null, {}, [7], ['nobody'], Array.from({ length: 501 }, () => stranger)] }, async: true }),
}
const REPLY = { ...OP, idempotencyKey: text(200) }
const SEND = { ...REPLY, replyTo: ID }
const conversationRows: Rows<Conversation> = {
  send: (it) => ({ call: it.send.bind(it), good: () => ['text'], bad: [text(65_536)], options: SEND, async: true }),
  sendFile: (it) => ({
    call: it.sendFile.bind(it), good: () => [new Uint8Array(1)], bad: [[7, null, {}, [1], '', 'x'.repeat(4097), new URL('https://example.org/x')]], async: true,
    options: { ...OP, name: text(255), sizeBytes: whole(Number.MAX_SAFE_INTEGER), replyTo: ID, idempotencyKey: text(200), keep: ['move', '', 7, null] },
  }),
  history: (it) => ({
    call: it.history.bind(it), good: () => [], bad: [], async: false,
    options: { ...OP, before: ID, after: ID, order: ['oldest first', '', 7, null], limit: whole(Number.MAX_SAFE_INTEGER) },
  }),
  message: (it) => ({ call: it.message.bind(it), good: () => [message.id], bad: [ID], options: OP, async: true }),
  search: (it) => ({
    call: it.search.bind(it), good: () => [], bad: [], async: false,
    options: { ...OP, text: [7, null, {}, 'x'.repeat(1001), 'a\0b', new RegExp('x'.repeat(1001))], from: PEER, type: ['unknown', 'text/plain', '', 7, null], after: DATE, before: DATE, limit: whole(Number.MAX_SAFE_INTEGER) },
  }),
  profile: (it) => ({ call: it.profile.bind(it), good: () => [], bad: [], options: OP, async: true }),
  update: (it) => ({
    call: it.update.bind(it), good: () => [{ title: 'x' }], async: true, options: OP,
    bad: [[7, 'x', null, { name: 'x' }, ...line(1000).map((title) => ({ title })), ...line(10_000).map((description) => ({ description })), ...AVATAR.map((avatar) => ({ avatar }))]],
  }),
  setPreferences: (it) => ({
    call: it.setPreferences.bind(it), good: () => [{ key: 'value' }], options: OP, async: true,
    bad: [[7, 'x', null, ['x'], { key: 7 }, { key: null }, { '': 'x' }, { ['k'.repeat(101)]: 'x' }, { key: 'x'.repeat(1001) }, Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`k${i}`, 'x']))]],
  }),
  invite: (it) => ({ call: it.invite.bind(it), good: () => [stranger], bad: [PEER], options: OP, async: true }),
  ban: (it) => ({ call: it.ban.bind(it), good: () => [stranger], bad: [PEER], options: OP, async: true }),
  unban: (it) => ({ call: it.unban.bind(it), good: () => [stranger], bad: [PEER], options: OP, async: true }),
  leave: (it) => ({ call: it.leave.bind(it), good: () => [], bad: [], options: OP, async: true }),
  typing: (it) => ({ call: it.typing.bind(it), good: () => [true], bad: [BOOLEAN], options: undefined, async: false }),
  markRead: (it) => ({ call: it.markRead.bind(it), good: () => [message.id], bad: [ID], options: OP, async: true }),
  sync: (it) => ({ call: it.sync.bind(it), good: () => [], bad: [], options: OP, async: true }),
  export: (it) => ({ call: it.export.bind(it), good: () => ['/nowhere'], bad: [text(4096)], options: OP, async: true }),
}
const messageRows: Rows<TextMessage, 'statuses'> = {
  reply: (it) => ({ call: it.reply, good: () => ['text'], bad: [text(65_536)], options: REPLY, async: true }),
  delivered: (it) => ({ call: it.delivered, good: () => [], bad: [], options: { ...OP, to: PEER, all: BOOLEAN, status: ['read', '', 7, null] }, async: true }),
  edit: (it) => ({ call: it.edit, good: () => ['text'], bad: [text(65_536)], options: OP, async: true }),
  react: (it) => ({ call: it.react, good: () => ['x'], bad: [text(64)], options: OP, async: true }),
  unreact: (it) => ({ call: it.unreact, good: () => ['x'], bad: [text(64)], options: OP, async: true }),
  delete: (it) => ({ call: it.delete, good: () => [], bad: [], options: OP, async: true }),
}
const peer: Rows<Peer> = {
  devices: (it) => ({ call: it.devices.bind(it), good: () => [], bad: [], options: OP, async: true }),
  openChannel: (it) => ({ call: it.openChannel.bind(it), good: () => ['echo'], bad: [[...NO_TEXT, '', 'with space', 'x'.repeat(101), 'ü']], options: { ...OP, device: DEVICE }, async: true }),
  close: (it) => ({ call: it.close.bind(it), good: () => [], bad: [], options: OP, async: true }),
}
const channels: Rows<Account['channels']> = {
  handle: (it) => ({
    call: it.handle.bind(it), good: () => ['echo', () => {}], bad: [[...NO_TEXT, '', 'with space', 'x'.repeat(101)], FUNCTION], async: false,
    options: { allow: ['anyone', '', 7, null, {}], maxPerPeer: [0, ...whole(65_535)] },
  }),
}
const dht: Rows<PublicDht, 'random' | 'status' | 'bootstrap'> = {
  key: (it) => ({ call: it.key.bind(it), good: () => ['text'], bad: [[7, null, {}, true]], options: undefined, async: false }),
  ready: (it) => ({ call: it.ready.bind(it), good: () => [], bad: [], options: OP, async: true }),
  get: (it) => ({ call: it.get.bind(it), good: () => [stranger], bad: [ID], options: { ...OP, as: ACCOUNT_LIKE, filter: FUNCTION }, async: false }),
  listen: (it) => ({ call: it.listen.bind(it), good: () => [stranger], bad: [ID], options: { signal: SIGNAL, as: ACCOUNT_LIKE }, async: false }),
  put: (it) => ({
    call: it.put.bind(it), good: () => [stranger, 'data'], bad: [ID, [7, null, {}, [1], 'x'.repeat(65_537), new Uint8Array(65_537)]], async: true,
    options: { ...OP, permanent: BOOLEAN, sign: ACCOUNT_LIKE, encryptTo: DEVICE, userType: [7, null, {}], id: [7, '7', -1n, 1n << 64n, null], seq: [-1, 1.5, '1', null] },
  }),
}

let net: TestNetwork
let alice: Account
let bob: Account
let conversation: Conversation
let message: TextMessage
let request: ContactRequest

beforeAll(async () => {
  net = await createTestNetwork({ seed: 98 })
  alice = await net.account('alice')
  bob = await net.account('bob')
  const carol = await net.account('carol')
  await net.befriend(alice, bob)
  conversation = await net.run(alice.conversations.with(bob.uri))
  message = await net.run(conversation.send('x'))
  const asked = alice.once('contact:request')
  await net.run(carol.contacts.add(alice.uri))
  request = await net.run(asked)
})

afterAll(() => net[Symbol.asyncDispose]())

type AnyRow = { call: (...args: unknown[]) => unknown; good: () => unknown[]; bad: Bad[]; options: Record<string, Bad> | undefined; async: boolean }
const tables: [string, () => unknown, object][] = [
  ['node', () => net.node(alice), node], ['accounts', () => net.node(alice).accounts, accounts], ['account', () => alice, account],
  ['presence', () => alice.presence, presence], ['profile', () => alice.profile, profile], ['contacts', () => alice.contacts, contacts], ['request', () => request, requestRows],
  ['conversations', () => alice.conversations, conversations], ['conversation', () => conversation, conversationRows], ['message', () => message, messageRows],
  ['peer', () => net.node(alice).connect(bob.uri), peer], ['channels', () => alice.channels, channels], ['dht', () => net.node(alice).dht, dht],
]
const cases = tables.flatMap(([name, object, rows]) => Object.entries(rows as Record<string, (object: unknown) => AnyRow>).map(([method, row]) => [`${name}.${method}()`, () => row(object())] as const))

/** What a bad call gives: methods that give a promise never throw. */
async function refusal(row: AnyRow, args: unknown[]): Promise<unknown> {
  let result: unknown
  try {
    result = row.call(...args)
  } catch (error) {
    if (row.async) throw new Error('a method that gives a promise threw', { cause: error })
    return error
  }
  if (!row.async) throw new Error('nothing was thrown')
  return (result as Promise<unknown>).then(() => { throw new Error('it was taken') }, (error: unknown) => error)
}

const refused = (field: unknown) => ({
  code: expect.stringMatching(/^ERR_(ARGUMENT|ADDRESS_INVALID)$/), details: { field, got: expect.anything(), allowed: expect.any(String) }, message: expect.stringMatching(/: got .*, allowed /s),
})

describe.each(cases)('%s', (_name, make) => {
  it('refuses every bad positional argument', async () => {
    const row = make()
    for (const [i, values] of row.bad.entries())
      for (const value of [...values, undefined]) {
        const args = row.good()
        args[i] = value
        expect(await refusal(row, args), `argument ${i}: ${String(value)}`).toMatchObject(refused(expect.any(String)))
      }
  })

  it('refuses every bad value of every option, and names the option', async () => {
    const row = make()
    for (const [name, values] of Object.entries(row.options ?? {}))
      for (const value of values) expect(await refusal(row, [...row.good(), { [name]: value }]), `${name}: ${String(value)}`).toMatchObject(refused(name))
  })

  it('refuses options that it does not have, and what is no set of options', async () => {
    const row = make()
    if (!row.options) return
    for (const options of [{ nonsense: 1 }, { timeoutMS: 5 }, { nonsense: undefined }]) expect(await refusal(row, [...row.good(), options])).toMatchObject(refused(Object.keys(options)[0]))
    for (const options of [7, 'x', null, [], true]) expect(await refusal(row, [...row.good(), options])).toMatchObject(refused('options'))
  })
})

it('createJamiNode() refuses options that it does not have', async () => {
  await expect(createJamiNode({ network: isolated(), bootstrap: [] } as never)).rejects.toMatchObject(refused('bootstrap'))
  await expect(createJamiNode(null as never)).rejects.toMatchObject(refused('options'))
})

it('nothing of all this has changed anything', async () => {
  expect(alice.contacts.list().map(({ uri }) => uri)).toEqual([bob.uri])
  expect(alice.contacts.requests().length).toBe(1)
  expect(net.node(alice).accounts.list()).toEqual([alice])
  expect(alice.profile.displayName).toBe('alice')
  expect(conversation.head).toBe(message.id)
})
