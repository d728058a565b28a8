// The real Jami daemon of 2026 as a peer: its addon behind JSON lines (interop/peers/jami-core). Signals are those of the
// daemon; where they are unreliable (messages of a merge), judge by the repository on disk (`repository`).
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Event, LineChild, PeerError } from './line-child.ts'
import { peersDir } from './peers-dir.ts'

export interface DaemonOptions {
  readonly label: string
  readonly netns: string
  readonly dir: string
  readonly env?: Record<string, string>
  readonly trace?: (label: string, event: Event) => void
}

type Args = readonly unknown[]

/** Details of an account that keep a daemon off the Internet. */
function offlineDetails(options: { bootstrap: string; name: string; dhtPort?: number }): Record<string, string> {
  return {
    'Account.type': 'RING',
    'Account.alias': options.name,
    'Account.displayName': options.name,
    'Account.deviceName': options.name,
    'Account.hostname': options.bootstrap,
    'Account.dhtPort': String(options.dhtPort ?? 0),
    'Account.upnpEnabled': 'false',
    'Account.proxyEnabled': 'false',
    'Account.proxyListEnabled': 'false',
    'Account.proxyServer': '',
    'Account.dhtProxyListUrl': '',
    'Account.peerDiscovery': 'false',
    'Account.accountDiscovery': 'false',
    'Account.accountPublish': 'false',
    'TURN.enable': 'false',
    'TURN.server': '',
    'RingNS.uri': 'http://127.0.0.1:9', // an empty one would mean the public server
    'Account.archivePassword': '',
  }
}

export const vcard = (name: string) => `BEGIN:VCARD\nVERSION:2.1\nFN:${name}\nEND:VCARD`

/** Reads the arguments of a signal as text and maps, without believing their types. */
const text = (args: Args, index: number): string => (typeof args[index] === 'string' ? (args[index] as string) : '')
const map = (args: Args, index: number): Record<string, unknown> => {
  const value = args[index]
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** A message as `loadConversation` and the signals give it. */
export interface SwarmMessage {
  readonly id: string
  readonly type: string
  readonly linearizedParent: string
  /** All members of the commit's JSON as text, with author, timestamp, parents, and fileId of a file. */
  readonly body: Readonly<Record<string, string>>
  readonly reactions: readonly Readonly<Record<string, string>>[]
  readonly editions: readonly Readonly<Record<string, string>>[]
  /** By account: 1 sending, 2 sent, 3 displayed. */
  readonly status: Readonly<Record<string, number>>
  readonly latestEditionId?: string
}

/** Codes of ConversationMemberEvent. */
export const MEMBER = { added: 0, joined: 1, left: 2, banned: 3, unbanned: 4 } as const
/** Codes of AccountMessageStatusChanged and of `SwarmMessage.status`. */
export const STATUS = { sending: 1, sent: 2, displayed: 3 } as const
/** Codes of DataTransferEvent. */
export const TRANSFER = { ongoing: 5, finished: 6, closedByHost: 7, closedByPeer: 8, invalid: 9, timeout: 10 } as const

type Wait = { since?: number; timeoutMs?: number }

export class Daemon {
  readonly child: LineChild
  readonly dir: string
  readonly label: string
  /** Of the one account that scenarios use. */
  account = ''
  uri = ''

  private constructor(options: DaemonOptions) {
    mkdirSync(options.dir, { recursive: true })
    this.label = options.label
    this.dir = options.dir
    this.child = new LineChild({
      label: options.label,
      argv: [join(peersDir, 'jami-core', 'run-peer.sh'), options.netns, options.dir],
      env: { JAMI_PEER_FLAGS: '192', ...options.env },
      stderrFile: join(options.dir, 'stderr.log'),
      ...(options.trace === undefined ? {} : { trace: options.trace }),
    })
  }

  static async start(options: DaemonOptions): Promise<Daemon> {
    const daemon = new Daemon(options)
    await daemon.child.waitEvent((line) => line.ready === true, 'ready line', { timeoutMs: 60_000 })
    return daemon
  }

  async call(name: string, ...args: unknown[]): Promise<unknown> {
    const reply = await this.child.request({ call: name, args })
    if ('error' in reply) throw new PeerError(`${this.label}: ${name}: ${String(reply.error)}`)
    return reply.result
  }

  mark(): number {
    return this.child.mark()
  }

  /** The first such signal from `since` on; its arguments and the time at which it was read. */
  async wait(name: string, test: (args: Args) => boolean = () => true, options: { since?: number; timeoutMs?: number } = {}): Promise<{ args: Args; atMs: number }> {
    const accepts = (args: unknown) => Array.isArray(args) && test(args as Args)
    const event = await this.child.waitEvent((line) => line.signal === name && accepts(line.args), name, options)
    return { args: event.line.args as Args, atMs: event.atMs }
  }

  signals(name: string, since = 0): Args[] {
    return this.child.events.slice(since).filter((event) => event.line.signal === name).map((event) => event.line.args as Args)
  }

  /** Makes the account and waits until its device is announced. */
  async addAccount(options: { bootstrap: string; name: string }, timeoutMs = 90_000): Promise<void> {
    const template = (await this.call('getAccountTemplate', 'RING')) as Record<string, string>
    const since = this.mark()
    this.account = String(await this.call('addAccount', { ...template, ...offlineDetails(options) }))
    await this.announced(since, timeoutMs)
    await this.#readUri()
  }

  /** After a start with existing data. */
  async resume(timeoutMs = 60_000): Promise<void> {
    const accounts = (await this.call('getAccountList')) as string[]
    this.account = accounts[0] ?? ''
    await this.announced(0, timeoutMs)
    await this.#readUri()
  }

  /** Adds an account from an archive file that the peer sees. */
  async importArchive(options: { bootstrap: string; name: string; path: string; password?: string }, timeoutMs = 120_000): Promise<void> {
    const template = (await this.call('getAccountTemplate', 'RING')) as Record<string, string>
    const since = this.mark()
    const more = { 'Account.archivePath': options.path, 'Account.archivePassword': options.password ?? '' }
    this.account = String(await this.call('addAccount', { ...template, ...offlineDetails(options), ...more }))
    await this.announced(since, timeoutMs)
    await this.#readUri()
  }

  async #readUri(): Promise<void> {
    this.uri = (((await this.call('getAccountDetails', this.account)) as Record<string, string>)['Account.username'] ?? '').replace(/^(?:ring|jami):/, '')
  }

  announced(since = 0, timeoutMs = 60_000): Promise<unknown> {
    return this.wait('VolatileDetailsChanged', (args) => text(args, 0) === this.account && map(args, 1)['Account.deviceAnnounced'] === 'true', { since, timeoutMs })
  }

  /** Sends a trust request with a vCard; the 1:1 conversation exists at once and its id comes back. */
  async sendRequest(to: string, name: string): Promise<string> {
    const since = this.mark()
    await this.call('sendTrustRequest', this.account, to, vcard(name))
    const { args } = await this.wait('ConversationReady', ([account]) => account === this.account, { since })
    return text(args, 1)
  }

  /** The next trust request of that account: its conversation and payload. */
  async request(from: string, options: { since?: number; timeoutMs?: number } = {}): Promise<{ conversation: string; payload: string; atMs: number }> {
    const { args, atMs } = await this.wait('IncomingTrustRequest', (a) => a[0] === this.account && a[2] === from, options)
    const payload = Array.isArray(args[3]) ? Buffer.from(args[3] as number[]).toString('utf8') : ''
    return { conversation: text(args, 1), payload, atMs }
  }

  accept(from: string): Promise<unknown> {
    return this.call('acceptTrustRequest', this.account, from)
  }

  ready(conversation: string, options: { since?: number; timeoutMs?: number } = {}): Promise<{ atMs: number }> {
    return this.wait('ConversationReady', (a) => a[0] === this.account && a[1] === conversation, options)
  }

  /** The peer joined the conversation, as this side sees it. */
  joined(conversation: string, member: string, options: { since?: number; timeoutMs?: number } = {}): Promise<{ atMs: number }> {
    return this.wait('ConversationMemberEvent', (a) => a[0] === this.account && a[1] === conversation && a[2] === member && a[3] === 1, options)
  }

  send(conversation: string, body: string): Promise<unknown> {
    return this.call('sendMessage', this.account, conversation, body, '', 0)
  }

  /** SwarmMessageReceived with that text. */
  heard(conversation: string, body: string, options: { since?: number; timeoutMs?: number } = {}): Promise<{ args: Args; atMs: number }> {
    return this.wait(
      'SwarmMessageReceived',
      (a) => a[0] === this.account && a[1] === conversation && (map(a, 2).body as Record<string, unknown> | undefined)?.body === body,
      options,
    )
  }

  // ---- conversations ---------------------------------------------------------------------------------------------------

  /** A new group with this account alone. */
  async startGroup(profile: { title?: string; description?: string; avatar?: string } = {}): Promise<string> {
    const id = String(await this.call('startConversation', this.account))
    if (Object.keys(profile).length > 0) await this.call('updateConversationInfos', this.account, id, profile)
    return id
  }

  invite(conversation: string, uri: string): Promise<unknown> {
    return this.call('addConversationMember', this.account, conversation, uri)
  }

  /** Bans: the daemon has no other way to take somebody out. */
  ban(conversation: string, uri: string): Promise<unknown> {
    return this.call('removeConversationMember', this.account, conversation, uri)
  }

  /** Leaves and forgets. */
  leave(conversation: string): Promise<unknown> {
    return this.call('removeConversation', this.account, conversation)
  }

  updateProfile(conversation: string, change: Readonly<Record<string, string>>): Promise<unknown> {
    return this.call('updateConversationInfos', this.account, conversation, change)
  }

  async profile(conversation: string): Promise<Record<string, string>> {
    return (await this.call('conversationInfos', this.account, conversation)) as Record<string, string>
  }

  async members(conversation: string): Promise<Record<string, string>[]> {
    return (await this.call('getConversationMembers', this.account, conversation)) as Record<string, string>[]
  }

  async conversations(): Promise<string[]> {
    return (await this.call('getConversations', this.account)) as string[]
  }

  /** The next invitation to that conversation: what it says. */
  async invited(conversation: string, options: Wait = {}): Promise<Record<string, unknown>> {
    const { args } = await this.wait('ConversationRequestReceived', (a) => a[0] === this.account && a[1] === conversation, options)
    return map(args, 2)
  }

  acceptInvitation(conversation: string): Promise<unknown> {
    return this.call('acceptConversationRequest', this.account, conversation)
  }

  declineInvitation(conversation: string): Promise<unknown> {
    return this.call('declineConversationRequest', this.account, conversation)
  }

  /** ConversationMemberEvent of that kind (`MEMBER`). */
  memberEvent(conversation: string, uri: string, event: number, options: Wait = {}): Promise<{ atMs: number }> {
    return this.wait('ConversationMemberEvent', (a) => a[0] === this.account && a[1] === conversation && a[2] === uri && a[3] === event, options)
  }

  reply(conversation: string, body: string, to: string): Promise<unknown> {
    return this.call('sendMessage', this.account, conversation, body, to, 0)
  }

  /** An empty body deletes; of the id of a reaction, it takes it back. */
  edit(conversation: string, message: string, body: string): Promise<unknown> {
    return this.call('sendMessage', this.account, conversation, body, message, 1)
  }

  react(conversation: string, message: string, emoji: string): Promise<unknown> {
    return this.call('sendMessage', this.account, conversation, emoji, message, 2)
  }

  async unreact(conversation: string, message: string, emoji: string): Promise<unknown> {
    const found = (await this.load(conversation)).find(({ id }) => id === message)?.reactions.find((reaction) => reaction.author === this.uri && reaction.body === emoji)
    return this.edit(conversation, found?.id ?? '', '')
  }

  /** Tells the others that this one was read. */
  displayed(conversation: string, message: string): Promise<unknown> {
    return this.call('setMessageDisplayed', this.account, `swarm:${conversation}`, message, STATUS.displayed)
  }

  /** AccountMessageStatusChanged: it comes without the conversation. */
  status(message: string, member: string, state: number, options: Wait = {}): Promise<{ atMs: number }> {
    return this.wait('AccountMessageStatusChanged', (a) => a[0] === this.account && a.includes(message) && a.includes(member) && a.at(-1) === state, options)
  }

  /** The message with that text, as it was heard (or written) here. */
  async message(conversation: string, body: string, options: Wait = {}): Promise<SwarmMessage> {
    const { args } = await this.heard(conversation, body, options)
    return args[2] as SwarmMessage
  }

  /** A file that lies in this peer's folder; the id of its announcement and of the file. */
  async sendFile(conversation: string, path: string, name: string, replyTo = ''): Promise<{ message: string; fileId: string }> {
    const since = this.mark()
    await this.call('sendFile', this.account, conversation, path, name, replyTo)
    const announced = await this.announcement(conversation, name, { since })
    return { message: announced.id, fileId: announced.body.fileId ?? '' }
  }

  /** SwarmMessageReceived of a file of that name. */
  async announcement(conversation: string, name: string, options: Wait = {}): Promise<SwarmMessage> {
    const { args } = await this.wait(
      'SwarmMessageReceived',
      (a) => a[0] === this.account && a[1] === conversation && (map(a, 2).body as Record<string, unknown> | undefined)?.displayName === name,
      options,
    )
    return args[2] as SwarmMessage
  }

  downloadFile(conversation: string, message: string, fileId: string, path: string): Promise<unknown> {
    return this.call('downloadFile', this.account, conversation, message, fileId, path)
  }

  transfer(fileId: string, code: number, options: Wait = {}): Promise<{ atMs: number }> {
    return this.wait('DataTransferEvent', (a) => a[0] === this.account && a[3] === fileId && a[4] === code, options)
  }

  /** The whole history as its clients show it, newest first, read anew. */
  async load(conversation: string, options: Wait = {}): Promise<SwarmMessage[]> {
    await this.call('clearCache', this.account, conversation)
    const since = this.mark()
    const id = Number(await this.call('loadConversation', this.account, conversation, '', 0))
    const { args } = await this.wait('SwarmLoaded', (a) => a[0] === id && a[2] === conversation, { since, ...options })
    return args[3] as SwarmMessage[]
  }

  /** Git work tree of a conversation; readable by the host at the same path. */
  repository(conversation: string): string {
    return join(this.dir, 'data', 'jami', this.account, 'conversations', conversation)
  }

  /** Clean stop; killed when it does not end. */
  async stop(): Promise<void> {
    if (!this.child.running) return
    this.child.request({ call: 'peer.exit', args: [] }).catch(() => {})
    this.child.endInput()
    await this.child.ended(20_000)
  }
}
