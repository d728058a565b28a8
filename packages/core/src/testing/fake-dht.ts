// A DHT without nodes and searches: one shared table behind the Dht contract, with the lifetimes, edit rules, signatures and
// encryption of values as the real one has them. docs/protocol/01 §4.1–4.5.
// Proof: testing/fake-dht.test.ts with testing/suites/dht.ts.
import { checkDhtGet, checkDhtListen, checkDhtPut } from '../base/dht-arguments.ts'
import { closedError, codecError, JamiError } from '../base/errors.ts'
import { delay, withOp } from '../base/operation.ts'
import { AsyncQueue } from '../base/queue.ts'
import { equalBytes, fromHex, toHex } from '../codec/bytes.ts'
import { asBytes, asInt, asMap, asString, asU64 } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack, MsgpackRaw } from '../codec/msgpack.ts'
import { sliceMsgpackMap } from '../codec/slices.ts'
import type { Clock, Timer } from '../contracts/clock.ts'
import type { Crypto } from '../contracts/crypto.ts'
import type { Dht, DhtListenEvent, DhtPackedPut, DhtPut, DhtPutResult, DhtStatus, DhtValue } from '../contracts/dht.ts'
import type { PrivateKey } from '../contracts/identity.ts'
import type { InfoHash } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'
import { sha256 } from '../crypto/hash.ts'
import { parseBootstrap } from '../identity/bootstrap.ts'
import { shortIdOf } from '../identity/ids.ts'
import { SeededRandom } from './seeded-random.ts'

const MINUTE_MS = 60_000
const LIFETIMES_MS = new Map([[1, 5 * MINUTE_MS], [2, 15 * MINUTE_MS], [3, 5 * MINUTE_MS], [4, 10_080 * MINUTE_MS], [5, MINUTE_MS], [8, 10_080 * MINUTE_MS]])
const DEFAULT_LIFETIME_MS = 10 * MINUTE_MS
const MAX_VALUE_BYTES = 65_536
/** The same signed value under another id is told again, but not more often. */
const REPEAT_MS = MINUTE_MS
const LIMITS = { maxDepth: 6, maxItems: 64, maxBytes: 2 * MAX_VALUE_BYTES }

/** Body of a clear value, and its exact bytes. */
interface Body {
  readonly type: number
  readonly data: Uint8Array
  readonly userType: string
  readonly seq: number
  readonly owner: Uint8Array | undefined
  readonly to: Uint8Array | undefined
  readonly bytes: Uint8Array
  readonly signature: Uint8Array | undefined
}

interface Stored {
  readonly id: bigint
  /** The `dat` of the value, as it was put. */
  readonly content: Uint8Array
  readonly body: Body | undefined
  readonly cipher: Uint8Array | undefined
  timer: Timer | undefined
}

interface Filter {
  readonly type?: number
  readonly id?: bigint
  readonly userType?: string
  readonly decryptWith?: PrivateKey
}

/** Ids of the same content that are told as one. */
interface Group {
  readonly shown: DhtValue
  readonly toldMs: number
  size: number
}

interface Listening {
  readonly key: InfoHash
  readonly node: FakeDht
  changed(stored: Stored, expired: boolean): void
}

/** What the shared table is like. */
export interface FakeDhtOptions {
  /** Whose time values live in. */
  clock: Clock
  /** Signs and encrypts. */
  crypto: Crypto
  /** Ids of values. */
  random?: SeededRandom
  /** How long a get, put or push takes. */
  latencyMs?: number
}

/** The table all nodes of a test share. */
export class FakeDhtNetwork {
  /** As given. */
  readonly clock: Clock
  /** As given. */
  readonly crypto: Crypto
  /** As given. */
  readonly random: SeededRandom
  /** Of a get, put or push. */
  readonly latencyMs: number
  /** Those that run. */
  readonly nodes = new Set<FakeDht>() // running ones; bounded by the test
  /** Listens that are open. */
  readonly listeners = new Set<Listening>() // bounded by the test
  readonly #values = new Map<InfoHash, Map<bigint, Stored>>() // bounded by the test

  constructor(options: FakeDhtOptions) {
    this.clock = options.clock
    this.crypto = options.crypto
    this.random = options.random ?? new SeededRandom('fake dht')
    this.latencyMs = options.latencyMs ?? 50
  }

  /** A node; must be started. */
  node(): FakeDht {
    return new FakeDht(this)
  }

  /** What is stored at a key. */
  at(key: InfoHash): Stored[] {
    return [...(this.#values.get(key)?.values() ?? [])]
  }

  /** Stores or refreshes, as the edit rules allow; a refusal is not told. Gives what ends its refreshing. */
  store(key: InfoHash, value: Stored, permanent: boolean): () => void {
    const here = this.#values.get(key) ?? new Map<bigint, Stored>()
    this.#values.set(key, here)
    const known = here.get(value.id)
    const same = known !== undefined && equalBytes(known.content, value.content)
    if (known && !same && !mayReplace(known, value)) return () => {}
    known?.timer?.cancel()
    const kept = same && known ? known : value
    here.set(value.id, kept)
    const expire = () => {
      kept.timer = this.clock.after(LIFETIMES_MS.get(kept.body?.type ?? 0) ?? DEFAULT_LIFETIME_MS, () => {
        here.delete(kept.id)
        this.#tell(key, kept, true)
      })
    }
    if (!permanent) expire()
    if (!same) this.#tell(key, kept, false)
    return () => {
      if (permanent && here.get(kept.id) === kept && kept.timer === undefined && this.nodes.size > 0) expire()
    }
  }

  #tell(key: InfoHash, value: Stored, expired: boolean): void {
    for (const listener of [...this.listeners]) if (listener.key === key) this.clock.after(this.latencyMs, () => listener.changed(value, expired))
  }

  /** The last node has left: nothing is kept. */
  left(node: FakeDht): void {
    this.nodes.delete(node)
    if (this.nodes.size > 0) return
    for (const here of this.#values.values()) for (const { timer } of here.values()) timer?.cancel()
    this.#values.clear()
  }
}

/** Only signed values change, by their owner, to a higher sequence number. */
function mayReplace(old: Stored, value: Stored): boolean {
  const { body: was } = old
  const { body: is } = value
  return was?.owner !== undefined && is?.owner !== undefined && equalBytes(was.owner, is.owner) && is.seq > was.seq
}

export class FakeDht implements Dht {
  readonly nodeId: InfoHash
  readonly #network: FakeDhtNetwork
  readonly #life = new AbortController()
  readonly #statusListeners = new Set<(status: { ipv4: DhtStatus; ipv6: DhtStatus }) => void>() // bounded by callers
  readonly #permanent = new Set<() => void>() // bounded by callers
  #online = true

  constructor(network: FakeDhtNetwork) {
    this.#network = network
    this.nodeId = toHex(network.random.bytes(20)) as InfoHash
  }

  async start(): Promise<void> {
    if (this.#life.signal.aborted || this.#network.nodes.has(this)) return
    this.#network.nodes.add(this)
    this.#announceStatus()
  }

  async stop(): Promise<void> {
    if (this.#life.signal.aborted) return
    this.#life.abort(new JamiError('ERR_CLOSED', 'the DHT was stopped'))
    for (const cancel of this.#permanent) cancel()
    this.#network.left(this)
    this.#announceStatus()
    this.#statusListeners.clear()
  }

  /** Cuts this node off from the others, or connects it again. */
  setOnline(online: boolean): void {
    this.#online = online
    this.#announceStatus()
  }

  readonly onStatus: Dht['onStatus'] = (fn) => {
    const entry = (status: { ipv4: DhtStatus; ipv6: DhtStatus }) => fn(status)
    this.#statusListeners.add(entry)
    return () => {
      this.#statusListeners.delete(entry)
    }
  }

  #announceStatus(): void {
    const status = this.status()
    for (const fn of [...this.#statusListeners]) fn(status)
  }

  status(): { ipv4: DhtStatus; ipv6: DhtStatus } {
    const state = this.#network.nodes.has(this) && this.#online ? 'connected' : 'disconnected'
    return { ipv4: state, ipv6: state }
  }

  nodeCount(): { ipv4: number; ipv6: number } {
    const count = this.#network.nodes.has(this) && this.#online ? this.#network.nodes.size - 1 : 0
    return { ipv4: count, ipv6: count }
  }

  async bootstrap(...hosts: string[]): Promise<void> {
    parseBootstrap(hosts)
  }

  connectivityChanged(): void {
    this.#announceStatus()
  }

  #check(): void {
    if (!this.#network.nodes.has(this)) throw closedError('the DHT')
  }

  #op(op: Op): Op {
    const { signal, timeoutMs } = op
    return { signal: signal ? AbortSignal.any([signal, this.#life.signal]) : this.#life.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
  }

  get(key: InfoHash, options: Filter & Op = {}): AsyncIterable<DhtValue> {
    checkDhtGet(key, options)
    return this.#get(key, options)
  }

  async *#get(key: InfoHash, options: Filter & Op): AsyncIterable<DhtValue> {
    this.#check()
    const { clock, latencyMs } = this.#network
    const values = await withOp(clock, this.#op(options), 'DHT get', async (signal) => {
      await delay(clock, latencyMs, signal)
      const found: DhtValue[] = []
      const contents = new Set<string>() // bounded by the values at the key
      for (const stored of this.#online ? this.#network.at(key) : []) {
        const shown = await this.#open(stored, options)
        if (!shown || contents.has(contentOf(stored))) continue
        contents.add(contentOf(stored))
        found.push(shown)
      }
      return found
    })
    yield* values
  }

  async put(key: InfoHash, put: DhtPut | DhtPackedPut, options: { permanent?: boolean } & Op = {}): Promise<DhtPutResult> {
    checkDhtPut(key, put, options)
    this.#check()
    const { clock, latencyMs, nodes } = this.#network
    return withOp(clock, this.#op(options), 'DHT put', async (signal) => {
      const value = 'packed' in put ? unpack(put.packed, () => this.#freshId()) : await this.#seal(put)
      await delay(clock, latencyMs, signal)
      if (!this.#online || nodes.size < 2) throw new JamiError('ERR_DHT_UNREACHABLE', 'no node confirmed the value')
      const { body } = value
      // Nodes refuse bad signatures and say nothing.
      const stays = !body?.owner || (await this.#network.crypto.verify(body.owner, body.bytes, body.signature ?? new Uint8Array(0)))
      const end = stays ? this.#network.store(key, value, options.permanent === true) : () => {}
      const cancel = () => {
        if (this.#permanent.delete(cancel)) end()
      }
      if (options.permanent) this.#permanent.add(cancel)
      return { id: value.id, storedBy: Math.min(8, nodes.size - 1), cancel }
    })
  }

  listen(key: InfoHash, options: Omit<Filter, 'id'> & { signal: AbortSignal }): AsyncIterable<DhtListenEvent> {
    checkDhtListen(key, options)
    return this.#listen(key, options)
  }

  async *#listen(key: InfoHash, options: Omit<Filter, 'id'> & { signal: AbortSignal }): AsyncIterable<DhtListenEvent> {
    this.#check()
    const events = new AsyncQueue<DhtListenEvent>(65_536)
    const { clock } = this.#network
    const groups = new Map<string, Group>() // by content: what the next id may join; bounded by the values at the key
    const told = new Map<bigint, Group>() // bounded by the values at the key
    const leave = (id: bigint, expired: boolean) => {
      const group = told.get(id)
      told.delete(id)
      if (group && --group.size === 0 && expired) events.push({ value: group.shown, expired: true })
    }
    let order = Promise.resolve()
    const listening: Listening = {
      key,
      node: this,
      changed: (stored, expired) => {
        order = order.then(async () => {
          if (events.ended) return
          if (expired) return leave(stored.id, true)
          const shown = await this.#open(stored, options)
          if (!shown || events.ended) return
          leave(stored.id, false)
          const content = contentOf(stored)
          const same = groups.get(content)
          const joins = same && same.size > 0 && (shown.encrypted || clock.now() - same.toldMs < REPEAT_MS)
          const group = joins ? same : { shown, toldMs: clock.now(), size: 0 }
          group.size++
          told.set(stored.id, group)
          groups.set(content, group)
          if (!joins) events.push({ value: shown, expired: false })
        })
      },
    }
    const end = () => events.end()
    const signal = AbortSignal.any([options.signal, this.#life.signal])
    if (signal.aborted) return
    signal.addEventListener('abort', end, { once: true })
    this.#network.listeners.add(listening)
    for (const stored of this.#network.at(key)) listening.changed(stored, false)
    try {
      yield* events
    } finally {
      signal.removeEventListener('abort', end)
      this.#network.listeners.delete(listening)
      events.end()
    }
  }

  // Values.

  #freshId(): bigint {
    for (;;) {
      const id = this.#network.random.u64()
      if (id !== 0n) return id
    }
  }

  async #seal(put: DhtPut): Promise<Stored> {
    const { crypto } = this.#network
    const { data, type = 0, userType = '', sign, encryptTo, seq = 0 } = put
    const id = put.id === undefined || put.id === 0n ? this.#freshId() : put.id
    const bytes = encodeMsgpack({
      ...(sign ? { seq, owner: sign.publicKey } : {}),
      ...(encryptTo ? { to: fromHex(shortIdOf(encryptTo)) } : {}),
      type, data: data.slice(), ...(userType === '' ? {} : { utype: userType }),
    })
    const signature = sign && (await crypto.sign(sign, bytes))
    const clear = encodeMsgpack({ body: new MsgpackRaw(bytes), ...(signature ? { sig: signature } : {}) })
    const content = encryptTo ? encodeMsgpack(await crypto.encryptFor(encryptTo, clear)) : clear
    return stored(id, content)
  }

  /** What a reader gets of a value: nothing when it is not for it or not in order. */
  async #open(value: Stored, filter: Filter): Promise<DhtValue | undefined> {
    const { crypto } = this.#network
    let { body } = value
    const encrypted = value.cipher !== undefined
    if (value.cipher) {
      const key = filter.decryptWith
      if (!key) return undefined
      try {
        body = bodyOf(await crypto.decrypt(key, value.cipher))
      } catch {
        return undefined
      }
      if (!body.owner || !body.to || !equalBytes(body.to, fromHex(shortIdOf(key.publicKey)))) return undefined
    }
    if (!body) return undefined
    if (body.owner && !(await crypto.verify(body.owner, body.bytes, body.signature ?? new Uint8Array(0)))) return undefined
    const { type, data, userType, owner, seq } = body
    if (filter.type !== undefined && filter.type !== type) return undefined
    if (filter.userType !== undefined && filter.userType !== userType) return undefined
    if (filter.id !== undefined && filter.id !== value.id) return undefined
    return { id: value.id, type, data: data.slice(), userType, signer: owner, encrypted, seq }
  }
}

/** The same for what was signed or encrypted once, under any id; unsigned values are each their own. */
function contentOf({ id, body, content }: Stored): string {
  return body && !body.owner ? `${id}` : toHex(sha256(content))
}

/** @throws ERR_CODEC */
function unpack(packed: Uint8Array, freshId: () => bigint): Stored {
  const parts = sliceMsgpackMap(packed, LIMITS)
  const id = asU64(decodeMsgpack(part(parts, 'id')), 'value id')
  return stored(id === 0n ? freshId() : id, part(parts, 'dat').slice())
}

function stored(id: bigint, content: Uint8Array): Stored {
  const tag = content[0] ?? 0
  const encrypted = tag === 0xc4 || tag === 0xc5 || tag === 0xc6
  return {
    id, content, timer: undefined,
    cipher: encrypted ? asBytes(decodeMsgpack(content, LIMITS), 'value dat') : undefined,
    body: encrypted ? undefined : bodyOf(content),
  }
}

/** @throws ERR_CODEC */
function bodyOf(content: Uint8Array): Body {
  const parts = sliceMsgpackMap(content, LIMITS)
  const bytes = part(parts, 'body')
  const map = asMap(decodeMsgpack(bytes, LIMITS), 'value body')
  const owner = map.has('owner') ? asBytes(map.get('owner'), 'value owner', { max: 1100 }) : undefined
  const sig = parts.get('sig')
  return {
    bytes: bytes.slice(), owner,
    type: asInt(map.get('type'), 'value type', 0, 0xffff),
    data: asBytes(map.get('data'), 'value data', { max: MAX_VALUE_BYTES }),
    userType: map.has('utype') ? asString(map.get('utype'), 'value utype') : '',
    seq: owner ? asInt(map.get('seq'), 'value seq', 0, 0xffff) : 0,
    to: map.has('to') ? asBytes(map.get('to'), 'value to', { length: 20 }) : undefined,
    signature: sig && asBytes(decodeMsgpack(sig), 'value sig', { max: 1024 }),
  }
}

function part(parts: ReadonlyMap<string, Uint8Array>, name: string): Uint8Array {
  const bytes = parts.get(name)
  if (!bytes) throw codecError(`value ${name}`, 'nothing', 'a field')
  return bytes
}
