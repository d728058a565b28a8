// How a conversation whose devices wrote at once comes to one head without a storm of merges: who merges what and when, at whose head to look,
// when to tell. A function of events and time. docs/protocol/04 §4.5.3, §4.6. Proof: conversation/convergence.test.ts, conversation/converging.test.ts,
// packages/swarm/test/sim/converge.sim.ts.
import type { AccountUri, ConversationId, DeviceId, Random } from '@jamikit/core/contracts'
import {
  FETCHES_OF_A_STEP, HINT_MEMORY_MS, LOOK_GAP_MAX_MS, LOOK_GAP_MS, LOOKS_MS, MAX_CONVERGING_DEVICES, MERGE_BURST_MS, MERGE_CALM_MS, MERGE_FIRST_MS, MERGE_FIRST_MAX_MS, MERGE_SPREAD_MS, MERGE_STEP_MAX_MS, MERGE_STEP_MS,
  MERGED_BY_PEER_MS, MERGING_MS, QUIET_CALM_MS, QUIET_MERGE_MAX_MS, QUIET_MERGE_MS, QUIET_TELL_MS, QUIET_TELL_MAX_MS, UNREST_MS,
} from '../defaults.ts'
import type { Oid } from '../repo/object.ts'

/** A device of a member. */
export interface Source {
  readonly device: DeviceId
  readonly account: AccountUri
}

/** A device whose head does not build on ours, nor ours on it. */
interface Apart extends Source {
  /** The one that was fetched, and the newest that was announced since. */
  readonly head: Oid
  newest: Oid
  /** It has commits that people see, and that are not here. */
  shows: boolean
  /** When it is merged. */
  readonly dueMs: number
}

/** A device that may be ahead without saying so. */
interface Look extends Source {
  atMs: number
  tries: number
  /** Now. */
  running: boolean
  /** What it is known to have and we have not. */
  lacks: Oid | undefined
  /** It may be merging until then: that it has our head before says nothing. */
  untilMs: number
}

export type Action =
  /** Fetch from all of these and merge what still does not build on ours, in one go. */
  | { readonly what: 'merge'; readonly sources: readonly (Source & { readonly head: Oid })[]; /** Nothing in it is in a hurry: first look whether one of them has merged. */ readonly quiet: boolean }
  /** Whatever its head is. */
  | { readonly what: 'look'; readonly source: Source }
  /** Tell those with a link, except where our head is known to be. */
  | { readonly what: 'tell' }

export class Convergence {
  readonly #random: Random
  readonly #apart = new Map<DeviceId, Apart>() // bounded by MAX_CONVERGING_DEVICES, as are the next six
  readonly #looks = new Map<DeviceId, Look>()
  readonly #looked = new Map<DeviceId, { atMs: number; gapMs: number }>()
  readonly #hinted = new Map<DeviceId, Source & { atMs: number }>()
  /** What is known of where devices are, and what they named last that was not here. */
  readonly #heads = new Map<DeviceId, Oid>()
  readonly #named = new Map<DeviceId, Oid>()
  /** Whether a device announces its merges, as far as seen: nobody waits for those of one that does not, and hints of one that does say nothing. */
  readonly #speaks = new Map<DeviceId, boolean>()
  #tellAtMs: number | undefined
  #unrestUntilMs = 0
  #rounds = 0
  #counted = false
  /** What a fetch takes these days. */
  #fetchMs = 0
  /** Own merges in a row, of what people see and of merges alone, and what was told that only brought merges. */
  #urgentMerges = 0
  #urgentMergedMs = 0
  #quietMerges = 0
  #quietTold = 0
  #quietMs = 0

  constructor(random: Random) {
    this.#random = random
  }

  // ---------------------------------------------------------------- what happened

  /** A device announced a commit that is not here. @returns true when it needs no fetch of its own: the merge that is due soon fetches it */
  announced(device: DeviceId, head: Oid): boolean {
    put(this.#heads, device, head)
    put(this.#named, device, head)
    const apart = this.#apart.get(device)
    if (!apart) return false
    apart.newest = head
    return apart.shows
  }

  /** A device announced what is here: what it has may be ahead of that. @param own it is a merge by that device */
  hinted({ device, account }: Source, head: Oid, own: boolean, nowMs: number): void {
    put(this.#heads, device, head)
    if (own) put(this.#speaks, device, true)
    if (this.#speaks.get(device)) return
    if (nowMs < this.#unrestUntilMs) this.#look({ device, account }, nowMs + LOOKS_MS[0] / 2 + this.#below(LOOKS_MS[0]))
    else put(this.#hinted, device, { device, account, atMs: nowMs })
  }

  /** A device, while it fetched from us, told of a commit that is not here. */
  ahead({ device, account }: Source, lacks: Oid, nowMs: number): void {
    this.#unrest(nowMs)
    this.#look({ device, account }, nowMs + MERGED_BY_PEER_MS, lacks)
  }

  /** A device fetched from us: unless it announces its merges, it may soon have one. */
  served({ device, account }: Source, nowMs: number): void {
    if (this.#speaks.get(device) || nowMs >= this.#unrestUntilMs) return
    this.#look({ device, account }, nowMs + LOOKS_MS[1], undefined, nowMs + MERGING_MS)
  }

  /** A fetched head does not build on ours. @param shows it brings what people see @param before how many devices with a link merge before us @param tookMs the fetch */
  diverged({ device, account }: Source, head: Oid, shows: boolean, before: number, tookMs: number, nowMs: number): void {
    this.#fetchMs += (tookMs - this.#fetchMs) / 4
    put(this.#heads, device, head)
    this.#ended(device, undefined, true)
    this.#unrest(nowMs)
    const known = this.#apart.get(device)
    const dueMs = nowMs + (shows ? this.#urgentWaitMs(before, nowMs) : this.#quietWaitMs(before, nowMs))
    // what it has more now does not put off what it had before
    put(this.#apart, device, { device, account, head, newest: head, shows, dueMs: known ? Math.min(known.dueMs, dueMs) : dueMs })
  }

  /** A device's head is here now. @param equal it is ours @param has what is here */
  same({ device }: Source, head: Oid, equal: boolean, has: (oid: Oid) => boolean, nowMs: number): void {
    put(this.#heads, device, head)
    this.#apart.delete(device)
    const look = this.#looks.get(device)
    if (!look?.running) return
    const lacks = look.lacks !== undefined && !has(look.lacks)
    const delayMs = LOOKS_MS[++look.tries]
    if ((equal && !lacks && nowMs >= look.untilMs) || delayMs === undefined) return this.#ended(device, look, false)
    look.running = false
    look.atMs = nowMs + delayMs
  }

  /** A fetch from a device is over. What it found was told before, if it found anything. */
  over(device: DeviceId): void {
    const look = this.#looks.get(device)
    if (look?.running) this.#ended(device, look, false)
  }

  /**
   * Our head moved by what was fetched from a device. @param shows it brought what people see @param merges with merges in it
   * @param merged by a merge of ours @param own what was fetched is a merge by that device
   */
  changed({ device }: Source, fetched: Oid, what: { shows: boolean; merges: boolean; merged: boolean; own: boolean }, nowMs: number): void {
    if (what.own && this.#named.get(device) === fetched) put(this.#speaks, device, true) // its own merge
    put(this.#heads, device, fetched)
    this.#apart.delete(device)
    const look = this.#looks.get(device)
    if (look?.running) {
      if (what.own && !this.#speaks.get(device)) put(this.#speaks, device, false)
      this.#ended(device, look, true)
    }
    if (what.merges || what.merged) this.#unrest(nowMs)
    if (what.shows) this.#quietMerges = this.#quietTold = 0
    if (what.merged) this.#merged(what.shows, nowMs)
    if (!what.shows) this.#quietMs = nowMs
    const waitMs = what.shows || what.merged ? (this.#rounds > 0 ? MERGE_BURST_MS : 0) : this.#quietTellMs()
    this.#tellAtMs = Math.min(this.#tellAtMs ?? Infinity, nowMs + waitMs)
  }

  /** Those of one go count once. */
  #merged(shows: boolean, nowMs: number): void {
    if (shows) this.#urgentMergedMs = nowMs
    if (this.#counted) return
    this.#counted = this.#rounds > 0
    if (shows) this.#urgentMerges++
    else this.#quietMerges++
  }

  /** A commit of ours that people see. Whoever has a link hears of it from whoever calls this. */
  wrote(): void {
    this.#quietMerges = this.#quietTold = 0
    this.#tellAtMs = undefined
  }

  /** A round of merges began, or ended: what came of it is told once. */
  round(step: 1 | -1, nowMs: number): void {
    if (step > 0 && this.#rounds === 0) this.#counted = false
    this.#rounds += step
    if (this.#rounds === 0) this.#counted = false
    if (step < 0 && this.#tellAtMs !== undefined && this.#tellAtMs <= nowMs + MERGE_BURST_MS) this.#tellAtMs = nowMs
  }

  /** Nothing is fetched from a device any more. */
  forget(device: DeviceId): void {
    for (const map of [this.#apart, this.#looks, this.#looked, this.#hinted, this.#heads, this.#named, this.#speaks]) map.delete(device)
  }

  // ---------------------------------------------------------------- what to do

  /** When there is something to do; undefined: nothing until something happens. */
  get nextMs(): number | undefined {
    const times = [this.#tellAtMs]
    for (const { dueMs } of this.#apart.values()) times.push(dueMs)
    for (const { running, atMs } of this.#looks.values()) if (!running) times.push(atMs)
    const due = times.filter((at) => at !== undefined)
    return due.length > 0 ? Math.min(...due) : undefined
  }

  /** What is due, once. @param has what is here: nobody is asked for it */
  take(nowMs: number, has: (oid: Oid) => boolean): Action[] {
    const actions: Action[] = []
    if (this.#tellAtMs !== undefined && this.#tellAtMs <= nowMs) {
      this.#tellAtMs = undefined
      actions.push({ what: 'tell' })
    }
    const due = { shows: false, quiet: false }
    for (const apart of [...this.#apart.values()]) {
      if (has(apart.newest)) this.#apart.delete(apart.device) // it came by itself
      else if (apart.dueMs <= nowMs) due[apart.shows ? 'shows' : 'quiet'] = true
    }
    if (due.shows) actions.push({ what: 'merge', sources: this.#takeApart(true), quiet: false })
    if (due.quiet) actions.push({ what: 'merge', sources: this.#takeApart(false), quiet: true })
    for (const look of [...this.#looks.values()]) {
      if (look.running || look.atMs > nowMs) continue
      if (look.lacks !== undefined && has(look.lacks) && this.#speaks.get(look.device)) {
        this.#looks.delete(look.device) // it came by itself, and so will what is merged there
        continue
      }
      look.running = true
      const known = this.#looked.get(look.device)
      put(this.#looked, look.device, { atMs: nowMs, gapMs: known?.gapMs ?? LOOK_GAP_MS })
      actions.push({ what: 'look', source: { device: look.device, account: look.account } })
    }
    return actions
  }

  /** Devices that are apart still: those of a quiet round, after it has looked. */
  takeApart(has: (oid: Oid) => boolean): readonly (Source & { readonly head: Oid })[] {
    return this.#takeApart(false).filter(({ newest }) => !has(newest))
  }

  /** Where the last thing known of it is that it has this head. */
  isAt(device: DeviceId, head: Oid): boolean {
    return this.#heads.get(device) === head
  }

  isSilent(device: DeviceId): boolean {
    return this.#speaks.get(device) === false
  }

  /** @param shows those that show something; all of them otherwise */
  #takeApart(shows: boolean): Apart[] {
    const out: Apart[] = []
    for (const apart of [...this.#apart.values()]) {
      if (shows && !apart.shows) continue
      this.#apart.delete(apart.device)
      out.push(apart)
    }
    return out
  }

  // ---------------------------------------------------------------- how long

  /** The first one merges soon, later and later while merge follows merge; the others when they did not hear of that. All within half a second. */
  #urgentWaitMs(before: number, nowMs: number): number {
    if (nowMs - this.#urgentMergedMs > MERGE_CALM_MS) this.#urgentMerges = 0
    const firstMs = Math.min(MERGE_FIRST_MS * 2 ** this.#urgentMerges, MERGE_FIRST_MAX_MS)
    return before === 0 ? firstMs : this.#stepMs(MERGE_STEP_MS) + this.#below(MERGE_SPREAD_MS)
  }

  /** Nothing to show on their side: by chance, doubled with each own merge in a row. */
  #quietWaitMs(before: number, nowMs: number): number {
    if (nowMs - this.#quietMs > QUIET_CALM_MS) this.#quietMerges = this.#quietTold = 0
    const baseMs = Math.min(this.#stepMs(QUIET_MERGE_MS) * 2 ** this.#quietMerges, QUIET_MERGE_MAX_MS)
    return Math.min(before === 0 ? baseMs / 4 + this.#below(baseMs / 2) : baseMs * (2 + Math.min(before, 4) / 2) + this.#below(baseMs), QUIET_MERGE_MAX_MS)
  }

  /** Until somebody else's merge should be here: its fetches, and ours of it, take as long as they do. */
  #stepMs(leastMs: number): number {
    return Math.max(leastMs, Math.min(FETCHES_OF_A_STEP * this.#fetchMs, MERGE_STEP_MAX_MS))
  }

  /** By chance, of what may be no whole number: clocks give fractions. */
  #below(ms: number): number {
    return this.#random.below(Math.max(1, Math.ceil(ms)))
  }

  #quietTellMs(): number {
    const baseMs = Math.min(QUIET_TELL_MS * 2 ** this.#quietTold++, QUIET_TELL_MAX_MS)
    return baseMs / 2 + this.#below(baseMs)
  }

  // ---------------------------------------------------------------- looks

  /** There are merges about: hints count. */
  #unrest(nowMs: number): void {
    this.#unrestUntilMs = nowMs + UNREST_MS
    for (const { device, account, atMs } of this.#hinted.values()) if (nowMs - atMs <= HINT_MEMORY_MS) this.#look({ device, account }, nowMs + LOOKS_MS[0])
    this.#hinted.clear()
  }

  #look({ device, account }: Source, atMs: number, lacks?: Oid, untilMs = 0): void {
    const known = this.#looks.get(device)
    if (known) {
      known.lacks ??= lacks
      known.untilMs = Math.max(known.untilMs, untilMs)
      return
    }
    const last = this.#looked.get(device)
    put(this.#looks, device, { device, account, atMs: Math.max(atMs, last ? last.atMs + last.gapMs : 0), tries: 0, running: false, lacks, untilMs })
  }

  /** Whoever makes us look in vain is looked at less often. */
  #ended(device: DeviceId, look: Look | undefined, found: boolean): void {
    const ended = look ?? this.#looks.get(device)
    if (!ended?.running) return
    this.#looks.delete(device)
    const last = this.#looked.get(device)
    if (last) last.gapMs = found ? LOOK_GAP_MS : Math.min(last.gapMs * 2, LOOK_GAP_MAX_MS)
  }
}

function put<V>(map: Map<DeviceId, V>, device: DeviceId, value: V): void {
  map.delete(device)
  map.set(device, value)
  for (const oldest of map.keys()) {
    if (map.size <= MAX_CONVERGING_DEVICES) return
    map.delete(oldest)
  }
}

/** Devices of one conversation in an order that all of them know, another one in each conversation: the first merges first. */
export function rank(conversation: ConversationId, device: DeviceId): number {
  return (Number.parseInt(conversation.slice(0, 8), 16) ^ Number.parseInt(device.slice(0, 8), 16)) >>> 0
}
