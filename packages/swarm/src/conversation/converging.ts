// Brings conversations to one head: gives their engines what happened and the time, does what they say. docs/protocol/04 §4.5.3, §4.6.
// Proof: conversation/converging.test.ts, packages/swarm/test/sim/converge.sim.ts.
import type { Tasks } from '@jamikit/core/base'
import type { AccountUri, BaseEnv, ConversationId, DeviceId } from '@jamikit/core/contracts'
import type { Oid } from '../repo/object.ts'
import type { Change, Conversation } from './conversation.ts'
import { type Action, Convergence, rank, type Source } from './convergence.ts'
import type { Fetching } from './fetching.ts'

export interface ConvergingEnv extends Pick<BaseEnv, 'clock' | 'random'> {
  readonly tasks: Tasks
  readonly own: DeviceId
  readonly find: (id: ConversationId) => Conversation | undefined
  /** Devices with a link of who takes part. */
  readonly linked: (conversation: Conversation) => readonly DeviceId[]
  /** The device can be reached without making a link. */
  readonly isConnected: (account: AccountUri, device: DeviceId) => boolean
  readonly fetching: Pick<Fetching, 'request' | 'whenFetched' | 'whenMerged'>
  /** Our head, to those with a link, but not to these devices. */
  readonly tell: (conversation: Conversation, knows: (device: DeviceId) => boolean) => void
}

interface State {
  readonly engine: Convergence
  timer: { cancel(): void } | undefined
}

export class Converging {
  readonly #env: ConvergingEnv
  readonly #states = new Map<ConversationId, State>() // bounded by the conversations

  constructor(env: ConvergingEnv) {
    this.#env = env
  }

  /** A device announced a commit that is not here: it is fetched from `source`. */
  announced(conversation: Conversation, source: Source, commit: Oid): void {
    const { own, fetching } = this.#env
    const covered = this.#with(conversation.id).announced(source.device, commit)
    // whoever merges before us may have ours in what it announces: then nothing is left to merge
    if (!covered || rank(conversation.id, source.device) < rank(conversation.id, own)) fetching.request(conversation, source.account, source.device, commit)
  }

  /** A device announced a commit that is here. */
  hinted(conversation: Conversation, source: Source, commit: Oid): void {
    const info = conversation.history.info(commit)
    this.#with(conversation.id).hinted(source, commit, info !== undefined && info.device === source.device && info.parents.length > 1, this.#env.clock.now())
    this.#run(conversation.id)
  }

  ahead(conversation: Conversation, source: Source, lacks: Oid): void {
    this.#with(conversation.id).ahead(source, lacks, this.#env.clock.now())
    this.#run(conversation.id)
  }

  /** A device has fetched from us. */
  served(conversation: Conversation, source: Source): void {
    this.#states.get(conversation.id)?.engine.served(source, this.#env.clock.now())
    this.#run(conversation.id)
  }

  diverged(conversation: Conversation, source: Source, head: Oid, { shows, tookMs }: { shows: boolean; tookMs: number }): void {
    const engine = this.#with(conversation.id)
    engine.diverged(source, head, shows, this.#before(conversation, engine), tookMs, this.#env.clock.now())
    this.#run(conversation.id)
  }

  /** How many devices with a link merge before us. */
  #before(conversation: Conversation, engine: Convergence): number {
    const { own, linked } = this.#env
    const mine = rank(conversation.id, own)
    return linked(conversation).filter((device) => rank(conversation.id, device) < mine && !engine.isSilent(device)).length
  }

  /** A device's head is here already. */
  same(conversation: Conversation, source: Source, head: Oid): void {
    this.#with(conversation.id).same(source, head, head === conversation.head, (oid) => conversation.has(oid), this.#env.clock.now())
    this.#run(conversation.id)
  }

  /** Our head moved by what was fetched. */
  changed(conversation: Conversation, source: Source, fetched: Oid, change: Change & { merged: boolean }): void {
    const shows = change.commits.some(({ parents }) => parents.length < 2)
    const merges = change.commits.some(({ parents }) => parents.length > 1)
    const own = change.commits.some(({ oid, device, parents }) => oid === fetched && device === source.device && parents.length > 1)
    this.#with(conversation.id).changed(source, fetched, { shows, merges, merged: change.merged, own }, this.#env.clock.now())
    this.#run(conversation.id)
  }

  /** We wrote something, and told it. */
  wrote(conversation: Conversation): void {
    this.#states.get(conversation.id)?.engine.wrote()
  }

  forget(id: ConversationId): void {
    this.#states.get(id)?.timer?.cancel()
    this.#states.delete(id)
  }

  #with(id: ConversationId): Convergence {
    const known = this.#states.get(id)
    if (known) return known.engine
    const engine = new Convergence(this.#env.random)
    this.#states.set(id, { engine, timer: undefined })
    return engine
  }

  #run(id: ConversationId): void {
    const { clock, tasks, find } = this.#env
    const state = this.#states.get(id)
    const conversation = find(id)
    if (!state) return
    if (!conversation || tasks.signal.aborted) return this.forget(id)
    const nowMs = clock.now()
    for (const action of state.engine.take(nowMs, (oid) => conversation.has(oid))) this.#do(conversation, state.engine, action)
    state.timer?.cancel()
    const { nextMs } = state.engine
    state.timer = nextMs === undefined ? undefined : tasks.after(Math.max(0, nextMs - nowMs), 'coming to one head', () => this.#run(id))
  }

  #do(conversation: Conversation, engine: Convergence, action: Action): void {
    const { tasks, tell } = this.#env
    if (action.what === 'tell') tell(conversation, (device) => engine.isAt(device, conversation.head))
    else if (action.what === 'look') tasks.run('looking at a head', () => this.#look(conversation, engine, action.source))
    else tasks.run('merging', () => this.#merge(conversation, engine, action.sources, action.quiet))
  }

  async #look(conversation: Conversation, engine: Convergence, source: Source): Promise<void> {
    const { fetching, isConnected } = this.#env
    if (isConnected(source.account, source.device)) await fetching.whenFetched(conversation, source.account, source.device)
    engine.over(source.device)
    this.#run(conversation.id)
  }

  /** The one first that most likely has merged the others: they are asked only for what is missing then. */
  async #merge(conversation: Conversation, engine: Convergence, sources: readonly (Source & { readonly head: Oid })[], quiet: boolean): Promise<void> {
    const { fetching, clock } = this.#env
    engine.round(1, clock.now())
    try {
      if (quiet) await Promise.all(sources.map(({ account, device }) => fetching.whenFetched(conversation, account, device)))
      const open = quiet ? engine.takeApart((oid) => conversation.has(oid)) : sources
      const [first, ...rest] = [...open].sort((a, b) => rank(conversation.id, a.device) - rank(conversation.id, b.device))
      if (first) await fetching.whenMerged(conversation, first.account, first.device)
      const last = this.#before(conversation, engine) > 0
      await Promise.all(rest.map(({ account, device, head }) => {
        // what came since is merged by whoever merges first; we look only, and merge it at its time
        return last && conversation.has(head) ? fetching.whenFetched(conversation, account, device) : fetching.whenMerged(conversation, account, device)
      }))
    } finally {
      engine.round(-1, clock.now())
      this.#run(conversation.id)
    }
  }
}
