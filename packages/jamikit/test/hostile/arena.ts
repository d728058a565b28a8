// A node with a heap of 512 MB in a process of its own, its honest contact in another one, who says something all the time; attacks one after the
// other, and after each what the node did meanwhile: alive, heap, event loop, how long the contact's messages took.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { foreignLoad } from './foreign-load.ts'
import { PeerProcess, type Up } from './processes.ts'

export const FULL = process.env.JAMIKIT_SIM === 'full'
/** What holds throughout. */
export const BOUNDS = { heapMb: 512, keptBytes: 64 << 20, loopMs: 100, honestMs: 1000 } as const
const TALK_MS = 250
/** Keys of the pool: three for each account. */
const KEYS = { victim: 0, friend: 3, hostile: 6 } as const

/** One attack: what it is called, and what it does. It resolves when the node has taken all it is going to take of it. */
export interface Attack<T> {
  readonly name: string
  run(target: T): Promise<unknown>
}

export interface Seen {
  readonly name: string
  readonly seconds: number
  /** After garbage collection, beyond what it was before the first attack. */
  readonly keptMb: number
  readonly peakMb: number
  /** Busy at a stretch; and as the system clock saw it, with what others on this machine took. */
  readonly loopMs: number
  readonly rawLoopMs: number
  /** The slowest message of the honest contact. */
  readonly honestMs: number
  /** Share of the machine that others used meanwhile: what it slows down is no fault of the node. */
  readonly others: number
  readonly told: unknown
}

export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export async function until(what: string, done: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<void> {
  for (const begun = performance.now(); !(await done()); await wait(20)) {
    if (performance.now() - begun > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`)
  }
}

export class Arena {
  readonly victimUri: string
  readonly hub: string
  readonly hostileKey: number = KEYS.hostile
  readonly friendUri: string
  #up: Up
  readonly #folder: string
  readonly #friend: PeerProcess
  #victim: PeerProcess
  /** Messages that were said and not heard, with when. */
  readonly #open = new Map<number, number>()
  readonly #heard = new Set<number>()
  /** What the node said of a conversation's fetches since somebody asked. */
  readonly #fetches = new Map<string, { failed: string | undefined; heldUntilMs: number }>()
  /** What the node said of its profile. */
  readonly warnings: string[] = []
  #slowestMs = 0
  #baseBytes = 0
  readonly seen: Seen[] = []
  /** Broken bounds, in words. */
  readonly broken: string[] = []

  private constructor(folder: string, friend: PeerProcess, hers: Up, victim: PeerProcess, up: Up) {
    this.#folder = folder
    this.#friend = friend
    this.#victim = victim
    this.#up = up
    this.victimUri = up.uri
    this.friendUri = hers.uri
    this.hub = hers.hub
    friend.onEvent = (line) => {
      if (line.event === 'sent' && !this.#heard.has(Number(line.n))) this.#open.set(Number(line.n), performance.now())
      if (line.event === 'unsent') this.broken.push(`the friend could not say something: ${String(line.error)}`)
    }
    this.#hear()
  }

  static async open(): Promise<Arena> {
    const folder = await mkdtemp(join(tmpdir(), 'jamikit-hostile-'))
    const friend = new PeerProcess('friend', { profile: join(folder, 'friend'), firstKey: KEYS.friend })
    const hers = await friend.up()
    const victim = new PeerProcess('victim', { profile: join(folder, 'victim'), hub: hers.hub, firstKey: KEYS.victim, heapMb: BOUNDS.heapMb })
    const arena = new Arena(folder, friend, hers, victim, await victim.up())
    await victim.ask('accept', { uri: hers.uri })
    await friend.ask('befriend', { uri: arena.victimUri })
    await friend.ask('talk', { everyMs: TALK_MS })
    return arena
  }

  get victimPort(): number {
    return this.#up.udp
  }

  get profile(): string {
    return join(this.#folder, 'victim')
  }

  /** How the node ended fetches of a conversation since `forgetFetches`, and until when it fetches nothing more of it (on our clock). */
  fetches(conversation: string): { failed: string | undefined; heldUntilMs: number } {
    return this.#fetches.get(conversation) ?? { failed: undefined, heldUntilMs: 0 }
  }

  forgetFetches(conversation: string): void {
    this.#fetches.delete(conversation)
  }

  get victim(): PeerProcess {
    return this.#victim
  }

  #hear(): void {
    this.#victim.onEvent = (line) => {
      if (line.event === 'told') {
        const { what, conversation, waitMs, code, error } = line as unknown as { what: string; conversation?: string; waitMs?: number; code?: string; error?: string }
        if (what === 'storage') this.warnings.push(String(error))
        if (conversation === undefined) return
        const known = this.fetches(conversation)
        this.#fetches.set(conversation, waitMs === undefined ? { ...known, failed: code ?? 'unknown' } : { ...known, heldUntilMs: performance.now() + waitMs })
      } else if (line.event === 'heard') {
        this.#open.delete(Number(line.n))
        this.#heard.add(Number(line.n)) // the two processes are read one after the other: it may not even have been said yet
        const { saidMs, atMs, waitedMs } = line as unknown as { saidMs: number; atMs: number; waitedMs: number }
        // without a processor here or there, because others use this machine: not what is measured
        this.#friend.ask<number>('waited', { fromMs: saidMs, toMs: atMs }).then((theirs) => {
          this.#slowestMs = Math.max(this.#slowestMs, atMs - saidMs - waitedMs - theirs)
        }, () => {})
      } else if (line.event === 'dead') this.broken.push(`the process ended: ${String(line.error)}`)
    }
  }

  async #heapBytes(): Promise<number> {
    return (await this.#victim.ask<{ bytes: number }>('heap')).bytes
  }

  /** From here on things count. */
  async begin(settleMs = 1500): Promise<void> {
    await wait(settleMs)
    this.#baseBytes = await this.#heapBytes()
    await this.#measured({ name: 'nothing', run: () => wait(1500) }, undefined)
  }

  async run<T>(attacks: readonly Attack<T>[], target: T): Promise<void> {
    const only = process.env.JAMIKIT_HOSTILE_ONLY
    for (const attack of attacks) {
      if (only && !new RegExp(only).test(attack.name)) continue
      await this.#measured(attack, target as T)
      if (this.#victim.ended !== undefined) return
    }
  }

  async #measured<T>(attack: Attack<T>, target: T): Promise<void> {
    const { name } = attack
    const wrong = (what: string) => {
      this.broken.push(`${name}: ${what}`)
      if (process.env.JAMIKIT_HOSTILE_SHOW) process.stderr.write(`      ! ${what}\n`)
    }
    await this.#victim.ask('reset')
    this.#slowestMs = 0
    const load = foreignLoad([this.#victim.pid, this.#friend.pid])
    const begun = performance.now()
    let told: unknown
    try {
      told = await attack.run(target)
    } catch (error) {
      wrong(`the attack itself failed: ${String((error as Error).stack)}`)
    }
    const saidLast = performance.now()
    try {
      await until('messages of the honest contact', () => this.#victim.ended !== undefined || [...this.#open.values()].every((atMs) => atMs > saidLast), 10_000)
    } catch {
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - Math.min(...this.#open.values()))
    }
    if (this.#victim.ended !== undefined) return wrong(`the process ended: ${this.#victim.ended}`)
    const honestMs = this.#slowestMs
    const others = load()
    const { loopMs, rawLoopMs, peakBytes } = await this.#victim.ask<{ loopMs: number; rawLoopMs: number; peakBytes: number }>('measure')
    const kept = (await this.#heapBytes()) - this.#baseBytes
    const row: Seen = { name, seconds: (performance.now() - begun) / 1000, keptMb: kept / 1e6, peakMb: peakBytes / 1e6, loopMs, rawLoopMs, honestMs, others, told }
    this.seen.push(row)
    if (process.env.JAMIKIT_HOSTILE_SHOW) process.stderr.write(`${lineOf(row)}\n`)
    if (kept > BOUNDS.keptBytes) wrong(`heap ${(kept / 1e6).toFixed(0)} MB above the beginning, allowed ${BOUNDS.keptBytes / 1e6} MB`)
    if (loopMs > BOUNDS.loopMs) wrong(`event loop busy for ${loopMs.toFixed(0)} ms, allowed ${BOUNDS.loopMs}`)
    const allowedMs = BOUNDS.honestMs / (1 - others)
    if (honestMs > allowedMs) wrong(`a message of the honest contact took ${honestMs.toFixed(0)} ms, allowed ${allowedMs.toFixed(0)}`)
  }

  /** Ends the node and starts it again. Gives how long that took until its accounts were open, and until it was announced. */
  async restart(between: () => Promise<void> = async () => {}): Promise<{ openMs: number; readyMs: number; heardMs: number }> {
    await this.#victim.end()
    await between()
    this.#victim = new PeerProcess('victim', { profile: this.profile, hub: this.hub, firstKey: KEYS.victim, heapMb: BOUNDS.heapMb })
    const said = performance.now()
    this.#hear()
    this.#up = await this.#victim.up()
    const { openMs, readyMs } = this.#up
    await until('messages of the honest contact after a restart', () => this.#victim.ended !== undefined || [...this.#open.values()].every((atMs) => atMs > said), 60_000)
    if (this.#victim.ended !== undefined) throw new Error(`the process ended after its restart: ${this.#victim.ended}`)
    return { openMs, readyMs, heardMs: performance.now() - said }
  }

  async close(): Promise<void> {
    await Promise.all([this.#victim.end(), this.#friend.end()])
    await rm(this.#folder, { recursive: true, force: true })
  }

  table(): string {
    return [' s    kept  peak  loop   raw  honest  others %  attack', ...this.seen.map(lineOf)].join('\n')
  }
}

function lineOf({ name, seconds, keptMb, peakMb, loopMs, rawLoopMs, honestMs, others, told }: Seen): string {
  const n = (value: number, width: number) => value.toFixed(0).padStart(width)
  return `${seconds.toFixed(1).padStart(5)} ${n(keptMb, 5)} ${n(peakMb, 5)} ${n(loopMs, 5)} ${n(rawLoopMs, 5)} ${n(honestMs, 6)} ${n(100 * others, 4)}  ${name}${told === undefined ? '' : ` ${JSON.stringify(told)}`}`
}
