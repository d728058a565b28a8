// The real daemon and our node behind one face, so that both are measured with the same code. Our side is the built packages under plain
// node (bench/built.ts), as users run them.
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Daemon } from '../interop/lib/daemon.ts'
import { head } from '../interop/lib/git.ts'
import type { LineChild } from '../interop/lib/line-child.ts'
import type { LoopDelay } from '../interop/lib/loop-watch.ts'
import type { Namespaces } from '../interop/lib/namespaces.ts'
import { OpenDht } from '../interop/lib/opendht.ts'
import { Sdk, type SdkMessage, type SdkStart } from '../interop/lib/sdk.ts'
import { built } from './built.ts'

export type Kind = 'sdk' | 'daemon'

interface Seen {
  readonly atMs: number
}
interface Since {
  readonly since?: number
  readonly timeoutMs?: number
}

export interface Person {
  readonly kind: Kind
  readonly dir: string
  readonly uri: string
  mark(): number
  /** Sends a contact request; the conversation's id. */
  ask(uri: string): Promise<string>
  asked(from: string, options: Since): Promise<Seen>
  /** Only starts it: `ready` tells the end. */
  accept(from: string): Promise<unknown>
  ready(conversation: string, options: Since): Promise<Seen>
  joined(conversation: string, member: string, options: Since): Promise<Seen>
  send(conversation: string, text: string): Promise<unknown>
  heard(conversation: string, text: string, options: Since): Promise<Seen>
  /** The sender knows its own message is in the conversation. */
  echoed(conversation: string, text: string, options: Since): Promise<unknown>
  /** Texts `<prefix>0`, `<prefix>1`, …; resolves when they are all in the own history. One after another, or all handed over at once. */
  write(conversation: string, prefix: string, count: number, how: 'in turn' | 'at once'): Promise<void>
  /** The last of so many different texts that begin so. */
  heardAll(conversation: string, prefix: string, count: number, options: Since): Promise<Seen>
  /** Newest commit of the conversation, from disk where it can be had there. */
  head(conversation: string): Promise<string>
  repository(conversation: string): string
  /** Of our nodes: the longest turn of the event loop since the last call, and memory. */
  loopDelay?(): Promise<LoopDelay & NodeJS.MemoryUsage>
  stop(): Promise<void>
  /** Again, with what it has kept. */
  start(): Promise<void>
}

/** For profiles: `--cpu-prof --cpu-prof-dir=…`. */
const nodeFlags = process.env.BENCH_NODE_FLAGS?.split(' ') ?? []
const WRITE_MS = 3_600_000

/** Waits until a child has shown `count` different texts. */
function allTexts(child: LineChild, textOf: (line: Record<string, unknown>) => string | undefined, prefix: string, count: number, { since = 0, timeoutMs = 60_000 }: Since): Promise<Seen> {
  const seen = new Set<string>()
  let at = since
  return child.until(() => {
    for (; at < child.events.length; at++) {
      const event = child.events[at]
      const text = event && textOf(event.line)
      if (text?.startsWith(prefix)) seen.add(text)
      if (event && seen.size === count) return { atMs: event.atMs }
    }
    return undefined
  }, `${count} texts ${prefix}…`, timeoutMs)
}

const HOSTS = 40

export class People {
  readonly #net: Namespaces
  readonly #dir: string
  readonly #here = new Set<Person>()
  #host = 1
  #bootstrap = ''

  private constructor(net: Namespaces, dir: string) {
    this.#net = net
    this.#dir = dir
  }

  /** Host 1 is the DHT; every person gets a host of its own. */
  static async within(net: Namespaces, dir: string, run: (people: People) => Promise<void>): Promise<void> {
    mkdirSync(dir, { recursive: true })
    net.up(HOSTS)
    const people = new People(net, dir)
    const boot = new OpenDht({ label: 'bootstrap', argv: net.inside(1, ...OpenDht.driver), dir })
    await boot.start({ port: 4222, isBootstrap: true })
    people.#bootstrap = `${net.v4(1)}:4222`
    await run(people)
    await people.leave()
    await boot.stop()
  }

  async join(kind: Kind, options: Partial<SdkStart> = {}): Promise<Person> {
    const host = ++this.#host
    if (host > HOSTS) throw new Error('too many people')
    const dir = join(this.#dir, `${kind}${host}`)
    mkdirSync(dir, { recursive: true })
    const person = kind === 'sdk' ? this.#sdk(host, dir, options) : this.#daemon(host, dir)
    this.#here.add(person)
    await person.start()
    return person
  }

  /** A folder of this run that is nobody's. */
  folder(name: string): string {
    return join(this.#dir, name)
  }

  async leave(...persons: Person[]): Promise<void> {
    const going = persons.length > 0 ? persons : [...this.#here]
    for (const person of going) this.#here.delete(person)
    await Promise.all(going.map((person) => person.stop()))
  }

  #daemon(host: number, dir: string): Person {
    let running: Daemon | undefined
    let uri = ''
    const daemon = () => running ?? fail(`daemon${host} is stopped`)
    const textOf = (conversation: string) => ({ signal, args }: Record<string, unknown>) => {
      if (signal !== 'SwarmMessageReceived' || !Array.isArray(args) || args[1] !== conversation) return undefined
      const text = (args[2] as { body?: { body?: unknown } } | undefined)?.body?.body
      return typeof text === 'string' ? text : undefined
    }
    const person: Person = {
      kind: 'daemon',
      dir,
      get uri() {
        return uri
      },
      mark: () => daemon().mark(),
      ask: (to) => daemon().sendRequest(to, `Daemon ${host}`),
      asked: (from, options) => daemon().request(from, options),
      accept: (from) => daemon().accept(from),
      ready: (conversation, options) => daemon().ready(conversation, options),
      joined: (conversation, member, options) => daemon().joined(conversation, member, options),
      send: (conversation, text) => daemon().send(conversation, text),
      heard: (conversation, text, options) => daemon().heard(conversation, text, options),
      echoed: (conversation, text, options) => daemon().heard(conversation, text, options),
      write: async (conversation, prefix, count, how) => {
        const since = daemon().mark()
        const all = person.heardAll(conversation, prefix, count, { since, timeoutMs: WRITE_MS })
        for (let n = 0; n < count; n++) {
          const echo = daemon().mark()
          const sent = daemon().send(conversation, `${prefix}${n}`)
          if (how === 'in turn') await daemon().heard(conversation, `${prefix}${n}`, { since: echo })
          else void sent.catch(() => {})
        }
        await all
      },
      heardAll: (conversation, prefix, count, options) => allTexts(daemon().child, textOf(conversation), prefix, count, options),
      head: async (conversation) => head(daemon().repository(conversation)),
      repository: (conversation) => daemon().repository(conversation),
      stop: async () => {
        await running?.stop()
        running = undefined
      },
      start: async () => {
        running = await Daemon.start({ label: `daemon${host}`, netns: this.#net.name(host), dir, env: { JAMI_PEER_HOSTS: `${this.#net.v4(1)} bootstrap.sfl.io bootstrap.jami.net` } })
        if (uri === '') await running.addAccount({ bootstrap: this.#bootstrap, name: `Daemon ${host}` }, 180_000)
        else await running.resume(180_000)
        uri = running.uri
      },
    }
    return person
  }

  #sdk(host: number, dir: string, options: Partial<SdkStart>): Person {
    let running: Sdk | undefined
    let uri = ''
    const sdk = () => running ?? fail(`sdk${host} is stopped`)
    const textOf = (conversation: string) => ({ signal, args }: Record<string, unknown>) =>
      signal === 'message' && Array.isArray(args) && args[0] === conversation ? (args[1] as SdkMessage).text : undefined
    return {
      kind: 'sdk',
      dir,
      get uri() {
        return uri
      },
      mark: () => sdk().mark(),
      ask: (to) => sdk().addContact(to),
      asked: (from, options) => sdk().request(from, options),
      accept: (from) => sdk().call('accept', from, WRITE_MS),
      ready: (conversation, options) => sdk().ready(conversation, options),
      joined: (conversation, member, options) => sdk().joined(conversation, member, options),
      send: (conversation, text) => sdk().send(conversation, text),
      heard: (conversation, text, options) => sdk().heard(conversation, text, options),
      echoed: () => Promise.resolve(), // send() resolves when it is committed
      write: async (conversation, prefix, count, how) => {
        if (how === 'at once') await sdk().call('sendAtOnce', conversation, prefix, count)
        // in pieces: each is one request, which may not take for ever
        else for (let n = 0; n < count; n += 1000) await sdk().call('sendMany', conversation, prefix, n, Math.min(1000, count - n))
      },
      heardAll: (conversation, prefix, count, options) => allTexts(sdk().child, textOf(conversation), prefix, count, options),
      head: async (conversation) => String(await sdk().call('head', conversation)),
      repository: (conversation) => folderOf(join(dir, 'profile', 'files'), conversation) ?? fail(`sdk${host}: no folder of ${conversation}`),
      loopDelay: async () => (await sdk().call('loopDelay')) as LoopDelay & NodeJS.MemoryUsage,
      stop: async () => {
        await running?.stop()
        running = undefined
      },
      start: async () => {
        running = new Sdk({ label: `sdk${host}`, dir, argv: this.#net.inside(host, process.execPath, ...nodeFlags, built('sdk-peer')), env: { JAMIKIT_LOG: 'warn', TSX_TSCONFIG_PATH: '' } })
        await running.start({ bootstrap: [this.#bootstrap], storage: join(dir, 'profile'), account: 'main', displayName: `Kit ${host}`, ...options })
        uri = running.uri
      },
    }
  }
}

/** A conversation's folder, sealed or not. */
function folderOf(dir: string, name: string): string | undefined {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const found = entry.name === name ? join(dir, name) : folderOf(join(dir, entry.name), name)
    if (found !== undefined) return found
  }
  return undefined
}

function fail(why: string): never {
  throw new Error(why)
}

/** Makes them contacts. Times in ms from the accept call. `pauseMs`: between the request's arrival and the answer. */
export async function befriend(a: Person, b: Person, pauseMs = 0): Promise<{ conversation: string; ready: number; joined: number }> {
  const [sinceA, sinceB] = [a.mark(), b.mark()]
  const conversation = await a.ask(b.uri)
  await b.asked(a.uri, { since: sinceB, timeoutMs: 60_000 })
  await new Promise((resolve) => setTimeout(resolve, pauseMs))
  const begin = performance.now()
  const accepted = b.accept(a.uri)
  const [ready, joined] = await Promise.all([
    b.ready(conversation, { since: sinceB, timeoutMs: 90_000 }),
    a.joined(conversation, b.uri, { since: sinceA, timeoutMs: 90_000 }),
    accepted,
  ])
  return { conversation, ready: ready.atMs - begin, joined: joined.atMs - begin }
}
