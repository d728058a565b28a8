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
