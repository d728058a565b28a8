// One of our own nodes as a child process in a namespace (interop/sdk-peer.ts), as scenarios and benchmarks see it: the
// same JSON lines as the daemon's driver.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Event, LineChild, PeerError } from './line-child.ts'
import { rootDir } from './peers-dir.ts'

/** Program and arguments that run a TypeScript file with this Node, as one process. */
export function tsProgram(file: string, nodeFlags: readonly string[] = []): string[] {
  return [process.execPath, ...nodeFlags, '--import', import.meta.resolve('tsx'), file]
}

export interface SdkStart {
  readonly bootstrap: readonly string[]
  /** Directory of the profile; memory when empty. */
  readonly storage?: string
  readonly dhtPort?: number
  /** Opens (or makes) an account of that label and waits until its device is announced. */
  readonly account?: string
  readonly displayName?: string
  /** Shows a chain in TLS whose device certificate another account has signed: what nobody may accept. */
  readonly brokenTls?: boolean
  /** Its git channels are open to the calls `git.*` (interop/lib/raw-git.ts). */
  readonly rawGit?: boolean
  /** Length of the RSA keys of a new account, instead of what accounts have. */
  readonly keyBits?: 2048 | 4096
}

export interface SdkMessage {
  readonly id: string
  readonly from: string
  readonly own: boolean
  readonly type: string
  readonly text: string
}

/** A message as it stands now. */
export interface SdkView {
  readonly id: string
  readonly type: string
  readonly from: string
  readonly timeS: number
  readonly fields: Readonly<Record<string, string>>
  readonly deleted: boolean
  readonly edited: boolean
  /** Newest first. */
  readonly editions: readonly { readonly id: string; readonly body: string }[]
  readonly reactions: readonly { readonly id: string; readonly author: string; readonly body: string }[]
}

/** A new commit. */
export interface SdkEntry {
  readonly id: string
  readonly type: string
  readonly from: string
  readonly own: boolean
  readonly fields: Readonly<Record<string, string>>
}

type Wait = { since?: number; timeoutMs?: number }

export interface SdkOptions {
  readonly label: string
  readonly dir: string
  readonly argv: [string, ...string[]]
  readonly env?: Record<string, string>
  readonly trace?: (label: string, event: Event) => void
}

export class Sdk {
  readonly child: LineChild
  readonly label: string
  readonly dir: string
  uri = ''
  deviceId = ''

  constructor(options: SdkOptions) {
    this.label = options.label
    this.dir = options.dir
    this.child = new LineChild({
      label: options.label, argv: options.argv, stderrFile: join(options.dir, 'stderr.log'), cwd: options.dir,
      env: { TSX_TSCONFIG_PATH: join(rootDir, 'tsconfig.json'), ...options.env },
      ...(options.trace === undefined ? {} : { trace: options.trace }),
    })
  }

  async spawned(): Promise<void> {
    await this.child.waitEvent((line) => line.ready === true, 'ready line', { timeoutMs: 60_000 })
  }

  async start(options: SdkStart): Promise<void> {
    await this.spawned()
    const result = (await this.call('start', options)) as { uri?: string; deviceId?: string }
    this.uri = result.uri ?? ''
    this.deviceId = result.deviceId ?? ''
  }

  /** Rejects with a PeerError that has the JamiError's code. */
  async call(name: string, ...args: unknown[]): Promise<unknown> {
    const reply = await this.child.request({ call: name, args })
    if ('error' in reply) throw new PeerError(`${this.label}: ${name}: ${String(reply.error)}`, typeof reply.code === 'string' ? reply.code : undefined)
    return reply.result
  }

  mark(): number {
    return this.child.mark()
  }

  async wait(name: string, test: (args: readonly unknown[]) => boolean = () => true, options: { since?: number; timeoutMs?: number } = {}): Promise<{ args: readonly unknown[]; atMs: number }> {
    const event = await this.child.waitEvent((line) => line.signal === name && Array.isArray(line.args) && test(line.args), `signal ${name}`, options)
    return { args: event.line.args as unknown[], atMs: event.atMs }
  }

  /** Adds a contact, which sends a request; the conversation's id. */
  async addContact(uri: string): Promise<string> {
    return String(await this.call('addContact', uri))
  }

  request(from: string, options: { since?: number; timeoutMs?: number } = {}): Promise<{ atMs: number }> {
    return this.wait('request', (args) => args[0] === from, options)
  }

  async accept(from: string): Promise<string> {
    return String(await this.call('accept', from))
  }

  ready(conversation: string, options: { since?: number; timeoutMs?: number } = {}): Promise<{ atMs: number }> {
    return this.wait('conversation', (args) => args[0] === conversation && args[1] === 'ready', options)
  }

  joined(conversation: string, member: string, options: { since?: number; timeoutMs?: number } = {}): Promise<{ atMs: number }> {
    return this.wait('member', (args) => args[0] === conversation && args[1] === member && args[2] === 'joined', options)
  }

  async send(conversation: string, text: string): Promise<string> {
    return String(await this.call('send', conversation, text))
  }

  heard(conversation: string, text: string, options: { since?: number; timeoutMs?: number } = {}): Promise<{ atMs: number }> {
    return this.wait('message', (args) => args[0] === conversation && (args[1] as SdkMessage).text === text, options)
  }

  // ---- groups, in the words of the daemon's driver (interop/lib/daemon.ts) ----------------------------------------------

  async startGroup(profile: { title?: string; description?: string; avatar?: string } = {}): Promise<string> {
    return String(await this.call('group.create', profile))
  }

  invite(conversation: string, uri: string): Promise<unknown> {
    return this.call('group.invite', conversation, uri)
  }

  async invited(conversation: string, options: Wait = {}): Promise<Record<string, unknown>> {
    return (await this.wait('invitation', (args) => args[0] === conversation, options)).args[2] as Record<string, unknown>
  }

  acceptInvitation(conversation: string): Promise<unknown> {
    return this.call('group.accept', conversation)
  }

  declineInvitation(conversation: string): Promise<unknown> {
    return this.call('group.decline', conversation)
  }

  ban(conversation: string, uri: string): Promise<unknown> {
    return this.call('group.ban', conversation, uri)
  }

  leave(conversation: string): Promise<unknown> {
    return this.call('group.leave', conversation)
  }

  updateProfile(conversation: string, change: Readonly<Record<string, string>>): Promise<unknown> {
    return this.call('group.update', conversation, change)
  }

  async profile(conversation: string): Promise<Record<string, string>> {
    return (await this.call('group.profile', conversation)) as Record<string, string>
  }

  async members(conversation: string): Promise<{ uri: string; role: string }[]> {
    return (await this.call('group.members', conversation)) as { uri: string; role: string }[]
  }

  async conversations(): Promise<string[]> {
    return ((await this.call('conversations')) as { id: string }[]).map(({ id }) => id)
  }

  async reply(conversation: string, body: string, to: string): Promise<string> {
    return String(await this.call('reply', conversation, body, to))
  }

  /** An empty body deletes. */
  edit(conversation: string, message: string, body: string): Promise<unknown> {
    return this.call('edit', conversation, message, body)
  }

  react(conversation: string, message: string, emoji: string): Promise<unknown> {
    return this.call('react', conversation, message, emoji)
  }

  unreact(conversation: string, message: string, emoji: string): Promise<unknown> {
    return this.call('unreact', conversation, message, emoji)
  }

  /** A file of this host; the id of its announcement and of the file. */
  async sendFile(conversation: string, path: string, name: string, options: { keep?: 'copy' | 'reference' } = {}): Promise<{ message: string; fileId: string }> {
    const reply = await this.child.request({ call: 'sendFile', args: [conversation, path, { name, ...options }] }, 600_000)
    if ('error' in reply) throw new PeerError(`${this.label}: sendFile: ${String(reply.error)}`, typeof reply.code === 'string' ? reply.code : undefined)
    return reply.result as { message: string; fileId: string }
  }

  /** Its SHA3-512 once it is there. */
  async download(conversation: string, message: string, path: string, timeoutMs = 60_000): Promise<{ sha3: string; ms: number }> {
    const reply = await this.child.request({ call: 'download', args: [conversation, message, path, timeoutMs] }, timeoutMs + 30_000)
    if ('error' in reply) throw new PeerError(`${this.label}: download: ${String(reply.error)}`, typeof reply.code === 'string' ? reply.code : undefined)
    return reply.result as { sha3: string; ms: number }
  }

  displayed(conversation: string, message: string): Promise<unknown> {
    return this.call('displayed', conversation, message)
  }

  /** A member is known to have a message, or to have read it. */
  status(message: string, member: string, state: 'sent' | 'displayed', options: Wait = {}): Promise<{ atMs: number }> {
    return this.wait('status', (args) => args[1] === message && args[2] === member && args[3] === state, options)
  }

  /** The commit that `test` accepts, own ones too. */
  async entry(conversation: string, test: (entry: SdkEntry) => boolean, options: Wait = {}): Promise<SdkEntry> {
    return (await this.wait('entry', (args) => args[0] === conversation && test(args[1] as SdkEntry), options)).args[1] as SdkEntry
  }

  /** The history as people see it, newest first. */
  async views(conversation: string): Promise<SdkView[]> {
    return (await this.call('views', conversation)) as SdkView[]
  }

  /** Oldest first. */
  async history(conversation: string): Promise<SdkMessage[]> {
    return (await this.call('history', conversation)) as SdkMessage[]
  }

  async texts(conversation: string): Promise<string[]> {
    return (await this.history(conversation)).filter((message) => message.type === 'text').map((message) => message.text)
  }

  async head(conversation: string): Promise<string> {
    return String(await this.call('head', conversation))
  }

  /** Writes the conversation as a bare git repository and gives its folder. */
  async export(conversation: string, name: string): Promise<string> {
    const folder = join(this.dir, `export-${name}`)
    await this.call('export', conversation, folder)
    return folder
  }

  /** The conversation's own git directory inside the profile: whole while the node is stopped, with plain file storage. */
  repository(conversation: string): string {
    const search = (dir: string, depth: number): string | undefined => {
      if (existsSync(join(dir, 'objects')) && existsSync(join(dir, 'refs'))) return dir.includes(conversation) ? dir : undefined
      if (depth === 0) return undefined
      for (const entry of readdirSync(dir, { withFileTypes: true })) {
        const found = entry.isDirectory() ? search(join(dir, entry.name), depth - 1) : undefined
        if (found !== undefined) return found
      }
      return undefined
    }
    const found = search(join(this.dir, 'profile'), 8)
    if (found === undefined) throw new Error(`${this.label}: no git directory of ${conversation} in the profile`)
    return found
  }

  async links(): Promise<number> {
    return ((await this.call('stats')) as { links: number }).links
  }

  /** MiB resident now and at the highest since `resetPeak`. */
  memory(): { rss: number; peak: number } {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8')
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) / 1024
    return { rss: field('VmRSS'), peak: field('VmHWM') }
  }

  resetPeak(): void {
    writeFileSync(`/proc/${this.child.pid}/clear_refs`, '5')
  }

  async stop(): Promise<void> {
    if (!this.child.running) return
    this.child.request({ call: 'exit', args: [] }).catch(() => {})
    this.child.endInput()
    if (!(await this.child.ended(20_000))) throw new Error(`${this.label}: did not end by itself within 20 s of close()`)
  }
}
