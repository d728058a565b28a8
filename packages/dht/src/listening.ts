// One listen: which values exist according to whom, told once each. Junk takes no place: only what was opened and is asked for is kept.
// docs/protocol/01 §3.6, §3.7. Proof: listening.test.ts, dht.test.ts.
import { AsyncQueue, type Tasks } from '@jamikit/core/base'
import type { Clock, DhtListenEvent, DhtValue, SocketAddress, Timer } from '@jamikit/core/contracts'
import { shortIdOf } from '@jamikit/core/identity'
import { MAX_LISTENED_VALUES, MAX_VARIANTS } from './defaults.ts'
import type { NodeRecord } from './engine/nodes.ts'
import { lifetimeMs } from './engine/policies.ts'
import { type Filter, passes, whereOf } from './filter.ts'
import { cipherName, type Opened, type Opener } from './secure/opener.ts'
import type { Arguments } from './wire/message.ts'
import { matches } from './wire/query.ts'
import { outerType, sameValue, type Value } from './wire/value.ts'

interface Held {
  readonly value: Value
  readonly shown: DhtValue
  /** Of signed content. */
  readonly content: string | undefined
  readonly holders: Set<string>
  expiresMs: number
}

/** A ciphertext that is being opened, and under which ids it came, from whom. */
interface Opening {
  readonly value: Value
  /** At most MAX_VARIANTS. */
  readonly ids: Map<bigint, { readonly holders: Set<string>; expiresMs: number }>
}

/** Content that was told, as it was told, and the entries that hold it, at most MAX_VARIANTS. */
interface Told {
  readonly shown: DhtValue
  readonly entries: Set<string>
}

const HERE = 'here'
const UNSIGNED = '-'
/** Values that a signer may have without being called busy. */
const FAIR_SHARE = 64

export class Listening {
  readonly events = new AsyncQueue<DhtListenEvent>(65_536)
  readonly #clock: Clock
  readonly #opener: Opener
  readonly #filter: Filter
  readonly #tasks: Tasks
  readonly #held = new Map<string, Held>() // by id and owner: nobody takes another's place; bounded by MAX_LISTENED_VALUES
  readonly #entries = new Map<bigint, Set<string>>() // of an id, at most MAX_VARIANTS; bounded as #held is
  readonly #bySigner = new Map<string, Set<string>>() // entries of one signer, oldest first; bounded as #held is
  readonly #told = new Map<string, Told>() // by content; bounded as #held is
  readonly #opening = new Map<string, Opening>() // by ciphertext; bounded by the opener's queue
  #timer: Timer | undefined
  #closed = false

  constructor(env: { clock: Clock; opener: Opener; tasks: Tasks }, filter: Filter) {
    this.#clock = env.clock
    this.#opener = env.opener
    this.#tasks = env.tasks
    this.#filter = filter
  }

  /** A value in our own store. */
  local(value: Value, expired: boolean): void {
    if (expired) this.#gone(value.id, HERE)
    else if (matches(whereOf(this.#filter), value)) this.#value(HERE, undefined, value)
  }

  push(node: NodeRecord, args: Arguments): void {
    const holder = holderOf(node)
    for (const value of args.values ?? []) this.#value(holder, node.address, value)
    for (const id of args.refreshed ?? []) for (const entry of this.#entries.get(id) ?? []) this.#refresh(this.#held.get(entry), holder)
    for (const id of args.expired ?? []) this.#gone(id, holder)
  }

  nodeLost(node: NodeRecord): void {
    const holder = holderOf(node)
    for (const held of this.#held.values()) if (held.holders.size > 1) held.holders.delete(holder)
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.events.end()
  }

  /** Only whoever has it can say that it is still there. */
  #refresh(known: Held | undefined, holder: string): void {
    if (known?.holders.has(holder)) known.expiresMs = this.#expiry(known.value)
  }

  #expiry(value: Value): number {
    return this.#clock.now() + lifetimeMs(outerType(value))
  }

  #value(holder: string, from: SocketAddress | undefined, value: Value): void {
    if (this.#closed) return
    if (!value.cypher) {
      const opened = this.#opener.clear(value)
      if (opened && passes(opened.value, this.#filter)) this.#take(value, opened, new Set([holder]), this.#expiry(value))
      return
    }
    const key = this.#filter.decryptWith
    if (!key || (this.#filter.id !== undefined && value.id !== this.#filter.id)) return
    for (const entry of this.#entries.get(value.id) ?? []) {
      const held = this.#held.get(entry)
      if (!held || !sameValue(held.value, value)) continue
      held.holders.add(holder)
      held.expiresMs = this.#expiry(value)
      return
    }
    const name = cipherName(value.cypher, key)
    const known = this.#opening.get(name)
    const opening: Opening = known ?? { value, ids: new Map() }
    const here = opening.ids.get(value.id) ?? { holders: new Set<string>(), expiresMs: 0 }
    here.holders.add(holder)
    here.expiresMs = this.#expiry(value)
    if (opening.ids.size < MAX_VARIANTS) opening.ids.set(value.id, here)
    if (known) return
    this.#opening.set(name, opening)
    this.#tasks.run('opening a value', async () => {
      const opened = await this.#opener.open(value, key, from)
      this.#opening.delete(name)
      if (this.#closed || !opened || opened === 'dropped') return
      for (const [id, { holders, expiresMs }] of opening.ids) {
        const shown = { ...opened.value, id }
        if (passes(shown, this.#filter)) this.#take({ ...value, id }, { value: shown, content: opened.content }, holders, expiresMs)
      }
    })
  }

  /** A value that is asked for. */
  #take(value: Value, opened: Opened, holders: ReadonlySet<string>, expiresMs: number): void {
    const entry = `${opened.value.signer ? shortIdOf(opened.value.signer) : UNSIGNED}|${value.id}`
    const known = this.#held.get(entry)
    if (known && (sameValue(known.value, value) || opened.value.seq <= known.shown.seq)) {
      // an older edit, or the same: whoever has it will have the newer one; other unsigned content under the id of one is nobody's edit
      if (known.shown.signer || sameValue(known.value, value)) {
        for (const holder of holders) known.holders.add(holder)
        known.expiresMs = Math.max(known.expiresMs, expiresMs)
      }
      return
    }
    if (!known) {
      if ((this.#entries.get(value.id)?.size ?? 0) >= MAX_VARIANTS) return
      this.#makeRoom(opened.content)
      this.#entries.set(value.id, (this.#entries.get(value.id) ?? new Set<string>()).add(entry))
      const signer = signerOf(entry)
      this.#bySigner.set(signer, (this.#bySigner.get(signer) ?? new Set<string>()).add(entry))
    } else this.#untell(entry, known, false)
    this.#held.set(entry, { value, shown: opened.value, content: opened.content, holders: new Set([...(known?.holders ?? []), ...holders]), expiresMs })
    this.#tellNew(entry, opened)
    this.#watch()
  }

  #tellNew(entry: string, { value, content }: Opened): void {
    const told = content === undefined ? undefined : this.#told.get(content)
    if (told) {
      told.entries.add(entry)
      return
    }
    if (content !== undefined) this.#told.set(content, { shown: value, entries: new Set([entry]) })
    this.#tell(value, false)
  }

  /** The content has one entry fewer; with the last one it is gone. */
  #untell(entry: string, { shown, content }: Held, expired: boolean): void {
    const told = content === undefined ? undefined : this.#told.get(content)
    told?.entries.delete(entry)
    if (told && told.entries.size > 0) return
    if (content !== undefined) this.#told.delete(content)
    if (expired) this.#tell(told?.shown ?? shown, true)
  }

  /**
   * Of what is asked for, too, there may be too much: the same content under many ids (the one goes that expires first), then what nobody
   * signed, then what the busiest signer has, the oldest of it; of many who have little each, the newcomers make room for each other.
   */
  #makeRoom(content: string | undefined): void {
    const same = content === undefined ? undefined : this.#told.get(content)
    if (same && same.entries.size >= MAX_VARIANTS) {
      const [first] = [...same.entries].sort((a, b) => (this.#held.get(a)?.expiresMs ?? 0) - (this.#held.get(b)?.expiresMs ?? 0))
      if (first !== undefined) this.#expire(first)
    }
    if (this.#held.size < MAX_LISTENED_VALUES) return
    let from = this.#bySigner.get(UNSIGNED)
    if (!from) for (const entries of this.#bySigner.values()) if (entries.size <= FAIR_SHARE ? (from?.size ?? 0) <= FAIR_SHARE : entries.size >= (from?.size ?? 0)) from = entries
    for (const entry of from ?? []) return this.#expire(entry)
  }

  #gone(id: bigint, holder: string): void {
    for (const entry of [...(this.#entries.get(id) ?? [])]) {
      const held = this.#held.get(entry)
      if (held?.holders.delete(holder) && held.holders.size === 0) this.#expire(entry)
    }
  }

  #expire(entry: string): void {
    const held = this.#held.get(entry)
    if (!held) return
    this.#held.delete(entry)
    forget(this.#entries, held.value.id, entry)
    forget(this.#bySigner, signerOf(entry), entry)
    this.#untell(entry, held, true)
  }

  #tell(value: DhtValue, expired: boolean): void {
    try {
      this.events.push({ value, expired })
    } catch (error) {
      this.events.fail(error)
    }
  }

  /** Values that nobody refreshes expire here, too. */
  #watch(): void {
    if (this.#timer || this.#closed || this.#held.size === 0) return
    let next = Number.POSITIVE_INFINITY
    for (const { expiresMs } of this.#held.values()) next = Math.min(next, expiresMs)
    this.#timer = this.#clock.after(Math.max(1000, next - this.#clock.now()), () => {
      this.#timer = undefined
      const now = this.#clock.now()
      for (const [entry, held] of this.#held) if (held.expiresMs <= now && !held.holders.has(HERE)) this.#expire(entry)
      this.#watch()
    })
  }
}

function holderOf(node: NodeRecord): string {
  return `${node.family}${node.id}`
}

function signerOf(entry: string): string {
  return entry.slice(0, entry.indexOf('|'))
}

function forget<K>(sets: Map<K, Set<string>>, key: K, entry: string): void {
  const set = sets.get(key)
  set?.delete(entry)
  if (set?.size === 0) sets.delete(key)
}
