// The people of one bench: a network with one DHT and a host for each of them, ours (bench/sdk-person.ts) and the daemon's
// (bench/daemon-person.ts), and how they come together.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Namespaces, run } from '../interop/lib/namespaces.ts'
import { OpenDht } from '../interop/lib/opendht.ts'
import type { SdkStart } from '../interop/lib/sdk.ts'
import { daemonPerson } from './daemon-person.ts'
import type { Kind, Person } from './person.ts'
import { sdkPerson } from './sdk-person.ts'

export type { Kind, Person } from './person.ts'

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
  static async within(net: Namespaces, dir: string, work: (people: People) => Promise<void>): Promise<void> {
    mkdirSync(dir, { recursive: true })
    net.up(HOSTS)
    const people = new People(net, dir)
    const boot = new OpenDht({ label: 'bootstrap', argv: net.inside(1, ...OpenDht.driver), dir })
    await boot.start({ port: 4222, isBootstrap: true })
    people.#bootstrap = `${net.v4(1)}:4222`
    try {
      await work(people)
    } finally {
      await people.leave()
      await boot.stop()
    }
  }

  async join(kind: Kind, options: Partial<SdkStart> = {}): Promise<Person> {
    const host = ++this.#host
    if (host > HOSTS) throw new Error('too many people')
    const dir = join(this.#dir, `${kind}${host}`)
    mkdirSync(dir, { recursive: true })
    const person = kind === 'sdk' ? sdkPerson(this.#net, this.#bootstrap, host, dir, options) : daemonPerson(this.#net, this.#bootstrap, host, dir)
    this.#here.add(person)
    await person.start()
    return person
  }

  /** A folder of this run that is nobody's. */
  folder(name: string): string {
    return join(this.#dir, name)
  }

  /** Bytes that have come in at its interface. */
  received({ host }: Person): number {
    return Number(run(['ip', 'netns', 'exec', this.#net.name(host), 'cat', '/sys/class/net/eth0/statistics/rx_bytes']))
  }

  async leave(...persons: Person[]): Promise<void> {
    const going = persons.length > 0 ? persons : [...this.#here]
    for (const person of going) this.#here.delete(person)
    await Promise.all(going.map((person) => person.stop()))
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

/** `admin` invites, `guest` accepts at once; ms from the invitation (the call) and from the acceptance until it is ready there, and joined for the admin. */
export async function bringIn(admin: Person, guest: Person, conversation: string, pauseMs = 0): Promise<{ invited: number; ready: number; joined: number; begin: number }> {
  const [since, joinedSince] = [guest.mark(), admin.mark()]
  const at = performance.now()
  await admin.invite(conversation, guest.uri)
  await guest.invited(conversation, { since, timeoutMs: 60_000 })
  if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
  const begin = performance.now()
  const accepted = guest.acceptInvitation(conversation)
  const [ready, joined] = await Promise.all([
    guest.ready(conversation, { since, timeoutMs: 600_000 }),
    admin.joined(conversation, guest.uri, { since: joinedSince, timeoutMs: 600_000 }),
    accepted,
  ])
  return { invited: Math.max(ready.atMs, joined.atMs) - at, ready: ready.atMs - begin, joined: joined.atMs - begin, begin }
}
