// What the members of a conversation are known to have (`sent`) and to have seen (`displayed`), with the time at which we learned it: a
// record for each member. Marks for commits that are not here yet are kept until they come.
// docs/protocol/04 §5.6. Proof: conversation/marks.test.ts.
import { asArray, asInt, asMap, asString, decodeMsgpack, encodeMsgpack, type MsgpackInput, type MsgpackValue } from '@jamikit/core/codec'
import { inSlices, Slices } from '@jamikit/core/base'
import type { AccountUri, Clock, MessageId, Storage } from '@jamikit/core/contracts'
import type { Oid } from '../repo/object.ts'
import type { History } from '../repo/types.ts'
import { Covered, type CoveredState } from './covered.ts'

export type MarkKind = 'sent' | 'displayed'
const KINDS: readonly MarkKind[] = ['sent', 'displayed']
/** Marks of one member for commits that are not here. */
const MAX_AHEAD = 8
/** Heads of one set that are kept. */
const MAX_HEADS = 64
/** Rows that are looked at between two turns of the event loop. */
const ROWS_AT_ONCE = 8_000
/** Times of one set that are told apart; what is older has the time of the oldest one. */
export const MAX_STEPS = 32

/** Rows that a set gained at once, and when. */
interface Step {
  readonly from: number
  readonly to: number
  readonly timeMs: number
}

interface Mark {
  readonly set: Covered
  state: CoveredState | undefined
  timeMs: number
  /** Oldest first. */
  steps: readonly Step[]
  /** Not here yet, newest last. */
  ahead: readonly Oid[]
}

export class Marks {
  readonly #clock: Clock
  readonly #history: History
  readonly #storage: Storage
  readonly #prefix: string
  readonly #own: AccountUri
  readonly #members = new Map<AccountUri, Record<MarkKind, Mark>>() // bounded by the members
  #queue: Promise<unknown> = Promise.resolve()

  /** @param prefix of the records, one for each member */
  constructor(env: { clock: Clock; history: History; storage: Storage; prefix: string; own: AccountUri }) {
    this.#clock = env.clock
    this.#history = env.history
    this.#storage = env.storage
    this.#prefix = env.prefix
    this.#own = env.own
  }

  /** @returns what could not be read; the rest is there */
  async load(): Promise<unknown[]> {
    const problems: unknown[] = []
    for await (const key of this.#storage.keys(this.#prefix)) {
      try {
        const bytes = await this.#storage.get(key)
        if (bytes) this.#members.set(key.slice(this.#prefix.length) as AccountUri, this.#decode(bytes))
      } catch (error) {
        problems.push(error)
      }
    }
    return problems
  }

  statusOf(message: MessageId, member: AccountUri): { status: MarkKind; atMs: number } | undefined {
    const row = this.#history.info(message)?.row
    const marks = this.#members.get(member)
    if (row === undefined || !marks) return undefined
    for (const status of ['displayed', 'sent'] as const) if (marks[status].set.has(row)) return { status, atMs: timeOf(marks[status], row) }
    return undefined
  }

  /** Commits that a member is known to have (where its haves may begin) or to have seen, the newest ones. */
  headsOf(member: AccountUri, kind: MarkKind = 'sent'): readonly Oid[] {
    return this.#members.get(member)?.[kind].state?.heads ?? []
  }

  /**
   * A member has (or has seen) a commit and all before it. Durable when it resolves; nothing has changed when it rejects.
   * @returns own messages that are newly covered, oldest first
   */
  note(member: AccountUri, oid: Oid, kind: MarkKind, nowMs: number): Promise<MessageId[]> {
    const work = this.#queue.then(() => this.#note(member, oid, kind, nowMs))
    this.#queue = work.catch(() => {})
    return work
  }

  async #note(member: AccountUri, oid: Oid, kind: MarkKind, nowMs: number): Promise<MessageId[]> {
    const known = this.#members.get(member)
    const marks = known ?? { sent: this.#empty(), displayed: this.#empty() }
    const mark = marks[kind]
    if (!this.#history.has(oid)) {
      if (mark.ahead.includes(oid)) return []
      const ahead = [...mark.ahead.slice(1 - MAX_AHEAD), oid]
      await this.#save(member, { ...marks, [kind]: { ...mark, ahead } })
      mark.ahead = ahead
      this.#members.set(member, marks)
      return []
    }
    const growth = await inSlices(this.#clock, mark.set.growing(oid))
    if (!growth && !mark.ahead.includes(oid)) return []
    const state = growth ? mark.set.stateWith(growth) : mark.state
    const ahead = mark.ahead.filter((other) => other !== oid)
    const steps = growth ? [...mark.steps.slice(1 - MAX_STEPS), { from: growth.rows[0] as number, to: growth.rows.at(-1) as number, timeMs: nowMs }] : mark.steps
    await this.#save(member, { ...marks, [kind]: { ...mark, state, timeMs: nowMs, steps, ahead } })
    if (growth) mark.set.grow(growth)
    mark.state = state
    mark.timeMs = nowMs
    mark.steps = steps
    mark.ahead = ahead
    this.#members.set(member, marks)
    const out: MessageId[] = []
    const slices = new Slices(this.#clock, ROWS_AT_ONCE)
    for (const row of growth?.rows ?? []) {
      const turn = slices.spend(1)
      if (turn) await turn
      const { author, oid: id } = this.#history.row(row)
      if (author === this.#own) out.push(id)
    }
    return out
  }

  /** Marks that waited for commits which are here now. */
  *due(): Iterable<{ member: AccountUri; oid: Oid; kind: MarkKind }> {
    for (const [member, marks] of this.#members)
      for (const kind of KINDS) for (const oid of marks[kind].ahead) if (this.#history.has(oid)) yield { member, oid, kind }
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#queue
  }

  #empty(state?: CoveredState, timeMs = 0, ahead: readonly Oid[] = [], steps: readonly Step[] = []): Mark {
    return { set: new Covered(this.#history, state), state, timeMs, steps, ahead }
  }

  async #save(member: AccountUri, marks: Record<MarkKind, Pick<Mark, 'state' | 'timeMs' | 'steps' | 'ahead'>>): Promise<void> {
    const shown: Record<string, MsgpackInput> = {}
    for (const kind of KINDS) {
      const { state, timeMs, steps, ahead } = marks[kind]
      shown[kind] = { timeMs, steps: steps.flatMap((step) => [step.from, step.to, step.timeMs]), ahead: [...ahead], ...(state ? { ...stateInput(state) } : {}) }
    }
    await this.#storage.batch([{ key: `${this.#prefix}${member}`, value: encodeMsgpack(shown) }])
  }

  #decode(bytes: Uint8Array): Record<MarkKind, Mark> {
    const map = asMap(decodeMsgpack(bytes), 'marks')
    const read = (kind: MarkKind) => {
      const mark = asMap(map.get(kind) ?? new Map(), kind)
      return this.#empty(mark.has('heads') ? readState(mark) : undefined, asInt(mark.get('timeMs') ?? 0, 'timeMs'), oids(mark.get('ahead') ?? []).slice(-MAX_AHEAD), stepsOf(mark.get('steps') ?? []))
    }
    return { sent: read('sent'), displayed: read('displayed') }
  }
}

/** The time of the change that brought a row; of one before all that are kept, that of the oldest. */
function timeOf({ steps, timeMs }: Mark, row: number): number {
  return (steps.find(({ from, to }) => row >= from && row <= to) ?? steps[0])?.timeMs ?? timeMs
}

function stepsOf(value: MsgpackValue): Step[] {
  const numbers = asArray(value, 'steps').map((number) => asInt(number, 'step'))
  const out: Step[] = []
  for (let i = 0; i + 2 < numbers.length && out.length < MAX_STEPS; i += 3) out.push({ from: numbers[i] as number, to: numbers[i + 1] as number, timeMs: numbers[i + 2] as number })
  return out
}

export function stateInput(state: CoveredState): Record<string, MsgpackInput> {
  return { heads: state.heads.slice(-MAX_HEADS), floor: state.floor, at: state.at ?? '' }
}

/** @throws ERR_CODEC */
export function readState(map: ReadonlyMap<MsgpackValue, MsgpackValue>): CoveredState {
  const at = asString(map.get('at') ?? '', 'at', 40)
  return { heads: oids(map.get('heads') ?? []), floor: asInt(map.get('floor') ?? 0, 'floor'), at: at === '' ? undefined : at }
}

function oids(value: MsgpackValue): Oid[] {
  return asArray(value, 'commits').map((oid) => asString(oid, 'commit', 40))
}
