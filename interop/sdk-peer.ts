// One of our own nodes behind newline-delimited JSON on stdin and stdout, in the shape of the real daemon's driver
// (interop/peers/jami-core/peer.mjs), so that scenarios and benchmarks treat both alike:
//
//   in   {"id":1,"call":"send","args":["<conversation>","hello"]}
//   out  {"id":1,"result":…}  |  {"id":1,"error":"…","code":"ERR_…"}
//   out  {"signal":"message","args":["<conversation>",{…}],"t":1234}
//
// It uses the public API only; what begins with `dht.` drives @jamikit/dht alone. Ends when stdin ends, on SIGTERM, or with
// `exit`, always through close(): a handle that keeps the process alive is a failure of the scenario, not hidden here.
import { createCipheriv, createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { lineLogger } from '@jamikit/core/base'
import type { Conversations, ConversationsModule, LogLevel } from '@jamikit/core/contracts'
import type { Account, Channel, Conversation, JamiNode, Message } from 'jamikit'
import type { BareDht } from './lib/bare-dht.ts'
import { conversationCalls, watchContract, watchMessages } from './lib/conversation-calls.ts'
import { LoopWatch } from './lib/loop-watch.ts'
import type { RawGit } from './lib/raw-git.ts'
import type { SdkMessage, SdkStart } from './lib/sdk.ts'

const started = performance.now()
const emit = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
const signal = (name: string, ...args: unknown[]) => emit({ signal: name, args, t: Math.round(performance.now() - started) })
const logger = lineLogger((process.env.JAMIKIT_LOG ?? 'debug') as LogLevel, (line) => process.stderr.write(`${Math.round(performance.now() - started)} ${line}\n`))

let node: JamiNode | undefined
let account: Account | undefined
let dhtAlone: Promise<BareDht> | undefined
let loop: LoopWatch | undefined
let raw: RawGit | undefined
let contract: Conversations | undefined

const theNode = (): JamiNode => node ?? fail('not started')
const theAccount = (): Account => account ?? fail('no account')
const conversationOf = (id: unknown): Conversation => theAccount().conversations.get(id as Conversation['id'])
function fail(why: string): never {
  throw new Error(why)
}

const messageOf = (message: Message): SdkMessage => ({
  id: message.id, from: message.from, own: message.own, type: message.type, text: message.type === 'text' ? message.text : '',
})

// ---- life ------------------------------------------------------------------------------------------------------------

async function start(options: SdkStart): Promise<object> {
  // loaded here, so that scenarios of the DHT alone do not load the rest
  const { createJamiNode } = await import('jamikit')
  loop = new LoopWatch() // what loading takes is the program's own affair
  node = await createJamiNode({
    ...(options.storage === undefined || options.storage === '' ? {} : { storage: options.storage }),
    network: { bootstrap: options.bootstrap },
    dht: options.dhtPort === undefined ? {} : { port: options.dhtPort },
    logger,
    modules: { ...(options.brokenTls === true ? { connections: await lying() } : {}), conversations: await tapped(options.rawGit === true) },
    ...(options.keyBits === undefined ? {} : { runtime: { crypto: await withKeys(options.keyBits) } }),
  })
  node.on('state', ({ state }) => signal('state', state))
  node.on('error', ({ error, source }) => signal('error', source, error.code, error.message))
  if (options.account === undefined) return {}
  account = await node.accounts.open(options.account, { displayName: options.displayName ?? '' })
  watch(account)
  await account.ready({ timeoutMs: 60_000 })
  return { uri: account.uri, deviceId: account.deviceId }
}

async function lying() {
  const [{ ice }, { withBrokenChain }] = await Promise.all([import('@jamikit/ice'), import('./lib/broken-chain.ts')])
  return withBrokenChain(ice())
}

/** The real module; what it makes is at hand for the calls that the public surface does not have. */
async function tapped(openGit: boolean): Promise<ConversationsModule> {
  const { swarm } = await import('@jamikit/swarm')
  if (openGit) raw = (await import('./lib/raw-git.ts')).rawGit(swarm(), signal)
  const make = raw?.conversations ?? swarm()
  return (env) => {
    contract = make(env)
    watchContract(contract, signal)
    return contract
  }
}

async function withKeys(bits: 2048 | 4096) {
  const { nodeCrypto } = await import('@jamikit/core/crypto')
  return { ...nodeCrypto(), generateKey: () => nodeCrypto().generateKey(bits) }
}

function watch(of: Account): void {
  watchMessages(of, signal)
  of.on('message', (message) => signal('message', message.conversation.id, messageOf(message)))
  of.on('message:status', (event) => signal('status', event.conversation.id, event.messageId, event.member, event.status))
  of.on('contact:request', (request) => signal('request', request.from.uri, request.from.displayName ?? ''))
  of.on('contact', ({ contact, action }) => signal('contact', contact.uri, action))
  of.on('conversation', ({ conversation, action }) => signal('conversation', conversation.id, action))
  of.on('member', ({ conversation, uri, action }) => signal('member', conversation.id, uri, action))
  of.on('presence', ({ uri, state }) => signal('presence', uri, state))
  of.on('online', ({ online }) => signal('online', online))
}

// ---- channels of our own protocol ------------------------------------------------------------------------------------
// A transfer: 8 bytes length, the bytes, then the receiver answers with their SHA-256 (there is no half-close).

/** Bytes that compress and repeat nowhere, made without holding them: AES-CTR of zeros. */
function* noise(total: number, piece: number): Generator<Buffer> {
  const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16))
  const zeros = Buffer.alloc(piece)
  for (let left = total; left > 0; left -= piece) yield stream.update(left < piece ? zeros.subarray(0, left) : zeros)
}

async function receive(channel: Channel): Promise<void> {
  const hash = createHash('sha256')
  let head = Buffer.alloc(0)
  let total = -1
  let got = 0
  for await (const chunk of channel.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    let bytes = chunk
    if (total < 0) {
      head = Buffer.concat([head, bytes])
      if (head.length < 8) continue
      total = Number(head.readBigUInt64BE(0))
      bytes = head.subarray(8)
    }
    hash.update(bytes)
    got += bytes.length
    if (got >= total) break
  }
  const digest = hash.digest('hex')
  signal('received', channel.protocol, channel.remote.uri, got, digest)
  if (!channel.destroyed) channel.end(digest)
}

async function pump(peer: string, protocol: string, total: number): Promise<object> {
  const channel = await theNode().connect(peer).openChannel(protocol, { timeoutMs: 30_000 })
  const begin = performance.now()
  const answer = (async () => {
    let text = ''
    for await (const chunk of channel as AsyncIterable<Buffer>) text += chunk.toString()
    return text
  })()
  const write = (bytes: Buffer) => (channel.write(bytes) ? undefined : new Promise<void>((resolve, reject) => {
    const end = (error?: Error) => {
      channel.off('drain', onDrain)
      channel.off('close', onClose)
      if (error === undefined) resolve()
      else reject(error)
    }
    const onDrain = () => end()
    const onClose = () => end(new Error('the channel closed while writing'))
    channel.once('drain', onDrain)
    channel.once('close', onClose)
  }))
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE(BigInt(total))
  await write(length)
  const hash = createHash('sha256')
  for (const piece of noise(total, 65_536)) {
    hash.update(piece)
    await write(piece)
  }
  const remote = await answer
  const ms = performance.now() - begin
  return { sent: hash.digest('hex'), received: remote, ms: Math.round(ms), mibPerSecond: Math.round(total / 2 ** 20 / (ms / 1000)) }
}

// ---- calls -----------------------------------------------------------------------------------------------------------

const calls: Record<string, (...args: never[]) => unknown> = {
  ...conversationCalls(() => contract ?? fail('no account'), theAccount),
  start,
  stats: () => theNode().stats(),
  addContact: async (uri: string) => (await theAccount().contacts.add(uri)).id,
  accept: async (from: string, timeoutMs = 60_000) => {
    const request = theAccount().contacts.requests().find((candidate) => candidate.from.uri === from) ?? fail('no such request')
    return (await request.accept({ timeoutMs })).id
  },
  decline: (from: string) => theAccount().contacts.requests().find((candidate) => candidate.from.uri === from)?.decline(),
  removeContact: (uri: string, ban: boolean) => theAccount().contacts.remove(uri, { ban }),
  contacts: () => theAccount().contacts.list(),
  openRequests: () => theAccount().contacts.requests().map(({ from }) => from.uri),
  /** The 1:1 that a contact leads to; empty when it is no contact. */
  linkedWith: async (uri: string) => (theAccount().contacts.list().some((contact) => contact.uri === uri) ? (await theAccount().conversations.with(uri)).id : ''),
  conversationWith: async (uri: string) => (await theAccount().conversations.with(uri)).id,
  send: async (conversation: string, text: string) => (await conversationOf(conversation).send(text)).id,
  /** Texts `<prefix><n>`, one after another; milliseconds. */
  sendMany: async (conversation: string, prefix: string, from: number, count: number) => {
    const begin = performance.now()
    const to = conversationOf(conversation)
    for (let n = from; n < from + count; n++) await to.send(`${prefix}${n}`)
    return performance.now() - begin
  },
  /** The same without waiting for any of them; replies when all are committed. */
  sendAtOnce: async (conversation: string, prefix: string, count: number) => {
    const begin = performance.now()
    const to = conversationOf(conversation)
    await Promise.all(Array.from({ length: count }, (_, n) => to.send(`${prefix}${n}`)))
    return performance.now() - begin
  },
  /** The longest turn of the event loop since the last call (since the start), and memory now. */
  loopDelay: () => ({ ...(loop ?? fail('not started')).take(), ...process.memoryUsage() }),
  delivered: async (conversation: string, message: Message['id'], timeoutMs: number) => (await conversationOf(conversation).message(message)).delivered({ timeoutMs }),
  history: async (conversation: string) => {
    const all: SdkMessage[] = []
    for await (const message of conversationOf(conversation).history({ order: 'oldest' })) all.push(messageOf(message))
    return all
  },
  head: (conversation: string) => conversationOf(conversation).head,
  export: (conversation: string, directory: string) => conversationOf(conversation).export(directory),
  exportArchive: async (password?: string) => Buffer.from(await theAccount().export(password === undefined ? {} : { password })).toString('base64'),
  importArchive: async (archive: string, archivePassword: string, label: string) => {
    account = await theNode().accounts.import(new Uint8Array(Buffer.from(archive, 'base64')), { label, ...(archivePassword === '' ? {} : { archivePassword }) })
    watch(account)
    await account.ready({ timeoutMs: 60_000 })
    return { uri: account.uri, deviceId: account.deviceId }
  },
  handle: (protocol: string) => {
    theAccount().channels.handle(protocol, (channel) => receive(channel))
  },
  pump,
  openChannel: async (peer: string, protocol: string, timeoutMs: number) => {
    const channel = await theNode().connect(peer).openChannel(protocol, { timeoutMs })
    channel.destroy()
    return channel.remote
  },
  closePeer: (peer: string) => theNode().connect(peer).close(),
}

async function answer(line: string): Promise<void> {
  let id: unknown = null
  try {
    const request = JSON.parse(line) as { id: unknown; call: string; args?: unknown[] }
    id = request.id
    if (request.call === 'exit') {
      emit({ id, result: true })
      return stop()
    }
    if (request.call.startsWith('dht.')) dhtAlone ??= import('./lib/bare-dht.ts').then(({ bareDht }) => bareDht(signal, logger))
    const call = calls[request.call] ?? raw?.calls[request.call] ?? (await dhtAlone)?.calls[request.call] ?? fail(`no such call: ${request.call}`)
    const result = await call(...((request.args ?? []) as never[]))
    emit({ id, result: result ?? null })
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'code' in error ? { code: String(error.code) } : {}
    emit({ id, error: error instanceof Error ? error.message : String(error), ...code })
  }
}

let stopping = false
async function stop(): Promise<void> {
  if (stopping) return
  stopping = true
  raw?.stop()
  await (await dhtAlone)?.stop()
  await node?.close()
  lines.close()
  process.stdin.destroy()
}

const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })
lines.on('line', (line) => void (line.trim() !== '' && answer(line)))
lines.on('close', () => void stop())
process.on('SIGTERM', () => void stop())
emit({ ready: true, pid: process.pid })
