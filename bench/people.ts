// The real daemon and our node behind one face, so that both are measured with the same code.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Daemon } from '../interop/lib/daemon.ts'
import type { Namespaces } from '../interop/lib/namespaces.ts'
import { OpenDht } from '../interop/lib/opendht.ts'
import { rootDir } from '../interop/lib/peers-dir.ts'
import { Sdk, tsProgram } from '../interop/lib/sdk.ts'

export type Kind = 'sdk' | 'daemon'

interface Seen {
  readonly atMs: number
}
interface Since {
  readonly since?: number
  readonly timeoutMs?: number
}

export interface Person {
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
  stop(): Promise<void>
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

  async join(kind: Kind): Promise<Person> {
    const host = ++this.#host
    if (host > HOSTS) throw new Error('too many people')
    const dir = join(this.#dir, `${kind}${host}`)
    mkdirSync(dir, { recursive: true })
    const person = kind === 'sdk' ? await this.#sdk(host, dir) : await this.#daemon(host, dir)
    this.#here.add(person)
    return person
  }

  async leave(...persons: Person[]): Promise<void> {
    const going = persons.length > 0 ? persons : [...this.#here]
    for (const person of going) this.#here.delete(person)
    await Promise.all(going.map((person) => person.stop()))
  }

  async #daemon(host: number, dir: string): Promise<Person> {
    const daemon = await Daemon.start({ label: `daemon${host}`, netns: this.#net.name(host), dir, env: { JAMI_PEER_HOSTS: `${this.#net.v4(1)} bootstrap.sfl.io bootstrap.jami.net` } })
    await daemon.addAccount({ bootstrap: this.#bootstrap, name: `Daemon ${host}` }, 180_000)
    return {
      uri: daemon.uri,
      mark: () => daemon.mark(),
      ask: (uri) => daemon.sendRequest(uri, `Daemon ${host}`),
      asked: (from, options) => daemon.request(from, options),
      accept: (from) => daemon.accept(from),
      ready: (conversation, options) => daemon.ready(conversation, options),
      joined: (conversation, member, options) => daemon.joined(conversation, member, options),
      send: (conversation, text) => daemon.send(conversation, text),
      heard: (conversation, text, options) => daemon.heard(conversation, text, options),
      echoed: (conversation, text, options) => daemon.heard(conversation, text, options),
      stop: () => daemon.stop(),
    }
  }

  async #sdk(host: number, dir: string): Promise<Person> {
    const sdk = new Sdk({ label: `sdk${host}`, dir, argv: this.#net.inside(host, ...tsProgram(join(rootDir, 'interop', 'sdk-peer.ts'))), env: { JAMIKIT_LOG: 'warn' } })
    await sdk.start({ bootstrap: [this.#bootstrap], storage: join(dir, 'profile'), account: 'main', displayName: `Kit ${host}` })
    return {
      uri: sdk.uri,
      mark: () => sdk.mark(),
      ask: (uri) => sdk.addContact(uri),
      asked: (from, options) => sdk.request(from, options),
      accept: (from) => sdk.accept(from),
      ready: (conversation, options) => sdk.ready(conversation, options),
      joined: (conversation, member, options) => sdk.joined(conversation, member, options),
      send: (conversation, text) => sdk.send(conversation, text),
      heard: (conversation, text, options) => sdk.heard(conversation, text, options),
      echoed: () => Promise.resolve(), // send() resolves when it is committed
      stop: () => sdk.stop(),
    }
  }
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
