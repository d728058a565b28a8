// Devices of one conversation in virtual time, as far as coming to one head goes: nodes of ours (the real engine and its shell, over a graph
// of commits instead of a repository), daemons as they were seen on the wire (docs/protocol/04 §4.5.3), and one that merges for ever.
import { Tasks } from '@jamikit/core/base'
import type { AccountUri, ConversationId, DeviceId } from '@jamikit/core/contracts'
import { ManualClock, SeededRandom } from '@jamikit/core/testing'
import type { Conversation } from '../src/conversation/conversation.ts'
import { Converging } from '../src/conversation/converging.ts'
import type { Source } from '../src/conversation/convergence.ts'
import type { Oid } from '../src/repo/object.ts'

export interface SimCommit {
  readonly id: Oid
  readonly oid: Oid
  readonly device: DeviceId
  readonly parents: readonly SimCommit[]
  /** It and everything before it, a bit each. */
  readonly all: bigint
  readonly author: SimNode
}

const ID = 'c0ffee00'.repeat(5) as ConversationId

export class ConvergeWorld {
  readonly clock = new ManualClock({ quietTurns: 1 })
  readonly random: SeededRandom
  readonly nodes: SimNode[] = []
  readonly commits = new Map<Oid, SimCommit>()
  readonly #bits: SimCommit[] = []
  readonly #cut = new Set<string>()
  merges = 0
  fetches = 0
  notices = 0
  /** One way, ms. */
  latencyMs = 10.25

  constructor(seed: string | number) {
    this.random = new SeededRandom(`converge ${seed}`)
  }

  /** Everybody has the same first commit. */
  start(sdk: number, daemons: number, hostile = 0): void {
    for (let i = 0; i < sdk; i++) this.nodes.push(new SdkNode(this))
    for (let i = 0; i < daemons; i++) this.nodes.push(new DaemonNode(this))
    for (let i = 0; i < hostile; i++) this.nodes.push(new HostileNode(this))
    const first = this.commit(this.nodes[0] as SimNode, [])
    for (const node of this.nodes) node.head = first
  }

  commit(author: SimNode, parents: readonly SimCommit[]): SimCommit {
    if (parents.length > 1) this.merges++
    const id = this.random.fork(`commit ${this.#bits.length}`).bytes(20)
    const oid = Buffer.from(id).toString('hex')
    const commit = { id: oid, oid, device: author.device, parents, author, all: parents.reduce((all, { all: before }) => all | before, 1n << BigInt(this.#bits.length)) }
    this.#bits.push(commit)
    this.commits.set(commit.id, commit)
    return commit
  }

  /** Commits of a set. */
  of(set: bigint): SimCommit[] {
    const out: SimCommit[] = []
    for (let rest = set, i = 0; rest > 0n; rest >>= 1n, i++) if (rest & 1n) out.push(this.#bits[i] as SimCommit)
    return out
  }

  isLinked(a: SimNode, b: SimNode): boolean {
    return a !== b && !this.#cut.has(`${a.index} ${b.index}`)
  }

  cut(a: SimNode, b: SimNode): void {
    this.#cut.add(`${a.index} ${b.index}`).add(`${b.index} ${a.index}`)
  }

  /** Links come up again: both fetch. */
  heal(a: SimNode, b: SimNode): void {
    if (this.isLinked(a, b)) return
    this.#cut.delete(`${a.index} ${b.index}`)
    this.#cut.delete(`${b.index} ${a.index}`)
    a.appeared(b)
    b.appeared(a)
  }

  linked(node: SimNode): SimNode[] {
    return this.nodes.filter((other) => this.isLinked(node, other))
  }

  notify(from: SimNode, to: SimNode, commit: SimCommit): void {
    this.notices++
    this.clock.after(this.latencyMs, () => {
      if (this.isLinked(from, to)) to.notice(commit, from)
    })
  }

  get heads(): Set<SimCommit> {
    return new Set(this.nodes.filter((node) => !(node instanceof HostileNode)).map(({ head }) => head))
  }

  /** Runs until there is one head. @returns ms it took */
  async untilOne(limitMs: number): Promise<number> {
    const begin = this.clock.now()
    await this.clock.runUntil(() => this.heads.size === 1, limitMs)
    return this.clock.now() - begin
  }
}

export abstract class SimNode {
  readonly index: number
  readonly device: DeviceId
  readonly account: AccountUri
  readonly world: ConvergeWorld
  head!: SimCommit
  /** When it saw what others wrote, after they had written it, ms. */
  readonly seenMs: number[] = []
  readonly written = new Map<SimCommit, number>()

  constructor(world: ConvergeWorld) {
    this.world = world
    this.index = world.nodes.length
    this.device = Buffer.from(world.random.fork(`device ${this.index}`).bytes(32)).toString('hex') as DeviceId
    this.account = this.device.slice(0, 40) as AccountUri
  }

  has(commit: SimCommit): boolean {
    return (this.head.all & commit.all) === commit.all
  }

  write(): SimCommit {
    const commit = this.world.commit(this, [this.head])
    this.head = commit
    this.written.set(commit, this.world.clock.now())
    for (const other of this.world.linked(this)) this.world.notify(this, other, commit)
    return commit
  }

  /** @returns commits that are new */
  protected advance(head: SimCommit): SimCommit[] {
    const fresh = this.world.of(head.all & ~this.head.all)
    this.head = head
    for (const commit of fresh) {
      const at = commit.author.written.get(commit)
      if (commit.author !== this && at !== undefined) this.seenMs.push(this.world.clock.now() - at)
    }
    return fresh
  }

  abstract notice(commit: SimCommit, from: SimNode): void
  abstract appeared(other: SimNode): void
  /** Somebody fetches from us, and has this. */
  served(_by: SimNode, _theirs: SimCommit): void {}
}

/** As the real one: whole numbers only. */
function strict(random: SeededRandom): SeededRandom {
  const below = random.below.bind(random)
  random.below = (limit) => {
    if (!Number.isSafeInteger(limit) || limit < 1) throw new Error(`random limit: ${limit}`)
    return below(limit)
  }
  return random
}

/** A node of ours. */
export class SdkNode extends SimNode {
  readonly #tasks: Tasks
  readonly converging: Converging
  readonly #conversation: Conversation
  /** Fetches that run; whether one more is wanted after it. */
  readonly #running = new Map<SimNode, { again: boolean; done: (() => void)[] }>()
  readonly #merging = new Set<SimNode>()

  constructor(world: ConvergeWorld) {
    super(world)
    const { clock } = world
    const self = this
    this.#tasks = new Tasks(clock, (error) => {
      throw error
    })
    this.#conversation = { id: ID, get head() { return self.head.id }, has: (oid: Oid) => self.hasOid(oid), history: { info: (oid: Oid) => world.commits.get(oid) } } as unknown as Conversation
    const nodeOf = (device: DeviceId) => world.nodes.find((node) => node.device === device) as SimNode
    this.converging = new Converging({
      clock, random: strict(world.random.fork(`node ${this.index}`)), tasks: this.#tasks, own: this.device, find: () => this.#conversation,
      linked: () => world.linked(this).map(({ device }) => device),
      isConnected: (_account, device) => world.isLinked(this, nodeOf(device)),
      fetching: {
        request: (_conversation, _account, device) => this.#request(nodeOf(device)),
        whenFetched: (_conversation, _account, device) => this.#whenFetched(nodeOf(device)),
        whenMerged: (_conversation, _account, device) => {
          this.#merging.add(nodeOf(device))
          return this.#whenFetched(nodeOf(device))
        },
      },
      tell: (_conversation, knows) => {
        for (const other of world.linked(this)) if (!knows(other.device)) world.notify(this, other, this.head)
      },
    })
  }

  hasOid(oid: Oid): boolean {
    const commit = this.world.commits.get(oid)
    return commit !== undefined && this.has(commit)
  }

  override write(): SimCommit {
    const commit = super.write()
    this.converging.wrote(this.#conversation)
    return commit
  }

  notice(commit: SimCommit, from: SimNode): void {
    if (this.has(commit)) this.converging.hinted(this.#conversation, from, commit.id)
    else this.converging.announced(this.#conversation, from, commit.id)
  }

  appeared(other: SimNode): void {
    this.#request(other)
  }

  override served(by: SimNode, theirs: SimCommit): void {
    if (!this.has(theirs)) this.converging.ahead(this.#conversation, by, theirs.id)
    this.converging.served(this.#conversation, by)
  }

  #whenFetched(from: SimNode): Promise<void> {
    return new Promise((resolve) => {
      this.#request(from)
      this.#running.get(from)?.done.push(resolve)
    })
  }

  #request(from: SimNode): void {
    const running = this.#running.get(from)
    if (running) running.again = true
    else {
      this.#running.set(from, { again: false, done: [] })
      this.#tasks.run('fetch', () => this.#fetch(from))
    }
  }

  async #fetch(from: SimNode): Promise<void> {
    const { world } = this
    const { latencyMs } = world
    for (;;) {
      const beganMs = world.clock.now()
      const running = this.#running.get(from) as { again: boolean; done: (() => void)[] }
      running.again = false
      const merge = this.#merging.delete(from)
      world.fetches++
      await this.#wait(2 * latencyMs)
      const head = from.head
      const isNew = !this.has(head)
      if (isNew) {
        await this.#wait(2 * latencyMs + 5 + world.random.below(10))
        if (world.isLinked(this, from)) from.served(this, this.head)
      }
      if (world.isLinked(this, from)) this.#took(from, head, merge, world.clock.now() - beganMs)
      if (!running.again) {
        this.#running.delete(from)
        for (const done of running.done) done()
        return
      }
    }
  }

  #took(from: Source & SimNode, head: SimCommit, merge: boolean, tookMs: number): void {
    if (this.has(head)) return this.converging.same(this.#conversation, from, head.id)
    const ahead = (head.all & this.head.all) === this.head.all
    if (!ahead && !merge) return this.converging.diverged(this.#conversation, from, head.id, { shows: this.world.of(head.all & ~this.head.all).some(({ parents }) => parents.length < 2), tookMs })
    const commits = this.advance(ahead ? head : this.world.commit(this, [this.head, head]))
    this.converging.changed(this.#conversation, from, head.id, { commits, head: this.head.id, banned: [], profile: false, merged: !ahead } as never)
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.world.clock.after(ms, resolve))
  }
}

/** Merges at once whatever it fetches, announces no merge, relays the commit that it fetched, fetches only what it is told of. */
export class DaemonNode extends SimNode {
  readonly #running = new Map<SimNode, { next: SimCommit | undefined }>()
  fetched = 0

  notice(commit: SimCommit, from: SimNode): void {
    if (!this.has(commit)) this.#pull(from, commit)
  }

  appeared(other: SimNode): void {
    this.#pull(other, undefined)
  }

  #pull(from: SimNode, commit: SimCommit | undefined): void {
    const running = this.#running.get(from)
    if (running) {
      running.next = commit
      return
    }
    this.#running.set(from, { next: undefined })
    const { clock, latencyMs, random } = this.world
    this.fetched++
    this.world.fetches++
    clock.after(2 * latencyMs, () => {
      const { head } = from
      const known = this.has(head)
      // it works on one at a time; now and then it is busy for long
      clock.after(known ? 0 : 30 + random.below(random.chance(0.1) ? 1000 : 150), () => {
        if (this.world.isLinked(this, from)) {
          from.served(this, this.head)
          if (!this.has(head)) this.advance((head.all & this.head.all) === this.head.all ? head : this.world.commit(this, [this.head, head]))
          if (commit && this.has(commit)) for (const other of this.world.linked(this)) if (other !== from) this.world.notify(this, other, commit)
        }
        const { next } = this.#running.get(from) as { next: SimCommit | undefined }
        this.#running.delete(from)
        if (next && !this.has(next)) this.#pull(from, next)
      })
    })
  }
}

/** A member that merges whatever there is with an older merge of its own, ten times a second, announces each, and hints all the time. */
export class HostileNode extends SimNode {
  #own: SimCommit | undefined

  begin(forMs: number): void {
    const end = this.world.clock.now() + forMs
    const turn = () => {
      const others = this.world.linked(this)
      const victim = others[this.world.random.below(others.length)] as SimNode
      const base = victim.head.parents[0] ?? victim.head // beside their head
      this.#own = this.world.commit(this, [this.#own ?? base, base])
      this.head = this.#own
      for (const other of others) {
        this.world.notify(this, other, this.#own)
        this.world.notify(this, other, other.head)
      }
      if (this.world.clock.now() < end) this.world.clock.after(100, turn)
    }
    turn()
  }

  notice(): void {}
  appeared(): void {}
}

/** Everybody writes `texts` texts, one within each `gapMs`. */
export async function burst(world: ConvergeWorld, texts: number, gapMs: number): Promise<void> {
  for (let i = 0; i < texts; i++) {
    for (const node of world.nodes) if (!(node instanceof HostileNode)) world.clock.after(world.random.below(gapMs), () => node.write())
    await world.clock.advance(gapMs)
  }
}
