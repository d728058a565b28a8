// The shell of the DHT node: sockets, timers and cryptography around the engine; implements the Dht contract.
// docs/protocol/01 §3.6, §6. Proof: contract.test.ts, dht.test.ts, outage.test.ts, interop dht-interop.
import { abortError, AsyncQueue, JamiError, LinkedSignal, Source, Tasks, throwIfAborted, withOp, withSignals } from '@jamikit/core/base'
import { toHex } from '@jamikit/core/codec'
import type {
  BaseEnv, DatagramSocket, Dht, DhtListenEvent, DhtModule, DhtPackedPut, DhtPut, DhtPutResult, DhtStatus, DhtValue, InfoHash, Op, PrivateKey, SocketAddress, Timer,
} from '@jamikit/core/contracts'
import { MAX_LISTENED_VALUES, MAX_STORE_BYTES, MAX_VARIANTS, MAX_VARIANTS_PER_REPLY, PUT_TIMEOUT_MS } from './defaults.ts'
import { DhtEngine, type Received } from './engine/engine.ts'
import type { NodeRecord } from './engine/nodes.ts'
import { lifetimeMs } from './engine/value-store.ts'
import { openValue, sealValue, verifySignature } from './secure/envelope.ts'
import type { Arguments } from './wire/message.ts'
import { matches, type Where } from './wire/query.ts'
import { decodeValue, outerType, sameValue, type Value } from './wire/value.ts'

/** Messages whose signatures are being verified. */
const MAX_VERIFYING = 1024
/** How long a get or put waits for the first connection. */
const CONNECT_WAIT_MS = 10_000
const RESOLVE_RETRY_MS = 10_000
/** Fragments sent in one turn of the event loop; more are spread, for the sake of socket buffers. */
const BURST = 64

type Env = Parameters<DhtModule>[0]

/** A DHT node for createJamiNode(). */
export function dht(): DhtModule {
  return (env) => new DhtNode(env)
}

interface Filter {
  readonly type?: number | undefined
  readonly id?: bigint | undefined
  readonly userType?: string | undefined
  readonly decryptWith?: PrivateKey | undefined
}

/** Conditions that storing nodes can check: none but the id for values that may be encrypted. */
function whereOf(filter: Filter): Where {
  const { id, type, userType, decryptWith } = filter
  return {
    ...(id === undefined ? {} : { id }),
    ...(decryptWith || type === undefined ? {} : { type }),
    ...(decryptWith || userType === undefined ? {} : { userType }),
  }
}

function passes(value: DhtValue, filter: Filter): boolean {
  return (filter.type === undefined || value.type === filter.type) && (filter.id === undefined || value.id === filter.id) && (filter.userType === undefined || value.userType === filter.userType)
}

class DhtNode implements Dht {
  readonly nodeId: InfoHash
  readonly #env: Env
  readonly #engine: DhtEngine
  readonly #tasks: Tasks
  readonly #status: Source<{ ipv4: DhtStatus; ipv6: DhtStatus }>
  readonly #stored: Source<{ key: InfoHash; value: Value; expired: boolean }>
  readonly #sockets: Partial<Record<4 | 6, DatagramSocket>> = {}
  readonly #hosts = new Set<string>() // bounded by the configuration
  #timer: Timer | undefined
  #timerAtMs = Number.POSITIVE_INFINITY
  #verifying = 0
  #started: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(env: Env) {
    this.#env = env
    const onError = (err: unknown) => env.logger.error({ err }, 'a listener threw')
    this.#tasks = new Tasks(env.clock, (err, what) => env.logger.warn({ err, what }, 'DHT task failed'))
    this.#status = new Source(onError)
    this.#stored = new Source(onError)
    this.nodeId = toHex(env.random.bytes(20)) as InfoHash
    for (const host of env.bootstrap) this.#hosts.add(host)
    this.#engine = new DhtEngine({
      nodeId: this.nodeId, network: env.networkId ?? 0, maxStoreBytes: env.maxStoreBytes ?? MAX_STORE_BYTES, random: env.random,
      wallTimeMs: () => env.clock.wallTimeMs(),
      send: (datagrams, to) => this.#send(datagrams, to),
      onStored: (key, value, expired) => this.#stored.emit({ key, value, expired }),
      onStatus: () => this.#status.emit(this.status()),
    }, env.clock.now())
  }

  // ---------------------------------------------------------------- life

  get onStatus() {
    return this.#status.listen
  }

  status(): { ipv4: DhtStatus; ipv6: DhtStatus } {
    return this.#engine.status()
  }

  nodeCount(): { ipv4: number; ipv6: number } {
    return this.#engine.nodeCount(this.#env.clock.now())
  }

  start(): Promise<void> {
    this.#started ??= (async () => {
      if (this.#stopped) return
      const { network, port } = this.#env
      let failure: unknown
      for (const family of [4, 6] as const) {
        try {
          const socket = await network.bindDatagram({ family, ...(port === undefined ? {} : { port }) })
          socket.onDatagram = (bytes, from) => this.#receive(bytes, from)
          this.#sockets[family] = socket
          this.#engine.setEnabled(family, true)
        } catch (error) {
          failure = error
        }
      }
      if (!this.#sockets[4] && !this.#sockets[6]) throw failure
      if (this.#stopped) return this.#closeSockets()
      if (this.#hosts.size > 0) this.#tasks.run('bootstrap', (signal) => this.#resolve([...this.#hosts], signal))
      this.#schedule()
    })()
    return this.#started
  }

  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      await this.#started?.catch(() => {})
      this.#engine.stop()
      this.#timer?.cancel()
      await this.#tasks.close()
      await this.#closeSockets()
    })()
    return this.#stopped
  }

  async #closeSockets(): Promise<void> {
    await Promise.all(Object.values(this.#sockets).map((socket) => socket.close()))
  }

  /** Local UDP port of a family; undefined when it is not in use. */
  port(family: 4 | 6): number | undefined {
    return this.#sockets[family]?.local.port
  }

  async bootstrap(...hosts: string[]): Promise<void> {
    for (const host of hosts) {
      splitHost(host)
      this.#hosts.add(host)
    }
    if (this.#started) this.#tasks.run('bootstrap', (signal) => this.#resolve(hosts, signal))
  }

  connectivityChanged(): void {
    this.#engine.connectivityChanged(this.#env.clock.now())
    this.#tasks.run('bootstrap', (signal) => this.#resolve([...this.#hosts], signal))
    this.#schedule()
  }

  async #resolve(hosts: readonly string[], signal: AbortSignal): Promise<void> {
    let waitMs = RESOLVE_RETRY_MS
    for (let open = [...hosts]; open.length > 0; ) {
      const unresolved: string[] = []
      for (const text of open) {
        const { host, port } = splitHost(text)
        const found = await this.#env.network.resolve(host, { signal }).catch(() => [])
        throwIfAborted(signal)
        if (found.length === 0) unresolved.push(text)
        this.#engine.addBootstrap(found.filter((a) => this.#sockets[a.family]).map((a) => ({ ...a, port })), this.#env.clock.now())
      }
      this.#tick()
      open = unresolved
      if (open.length > 0) await new Promise<void>((resolve) => {
        const timer = this.#tasks.after(waitMs, 'resolving again', resolve)
        signal.addEventListener('abort', () => { timer.cancel(); resolve() }, { once: true })
      })
      throwIfAborted(signal)
      waitMs = Math.min(waitMs * 2, 600_000)
    }
  }

  // ---------------------------------------------------------------- I/O

  #send(datagrams: readonly Uint8Array[], to: SocketAddress): void {
    const socket = this.#sockets[to.family]
    if (!socket) return
    for (const [i, datagram] of datagrams.entries()) {
      if (i < BURST) socket.send(datagram, to)
      else this.#env.clock.after(Math.floor(i / BURST), () => { if (!this.#stopped) socket.send(datagram, to) })
    }
  }

  #receive(bytes: Uint8Array, from: SocketAddress): void {
    const now = this.#env.clock.now()
    const received = this.#engine.receive(bytes, from, now)
    if (received) {
      const signed = received.message.args.values?.filter((v) => v.body?.owner) ?? []
      if (signed.length === 0) this.#engine.process(received, new Set(), now)
      else if (this.#verifying < MAX_VERIFYING) void this.#verify(received, signed)
    }
    this.#schedule()
  }

  async #verify(received: Received, signed: readonly Value[]): Promise<void> {
    this.#verifying++
    const { clock, crypto, logger } = this.#env
    const bad = new Set<Value>()
    await clock.track(Promise.all(signed.map(async (value) => {
      if (value.body && !(await verifySignature(crypto, value.body))) bad.add(value)
    }))).catch((err) => {
      logger.warn({ err }, 'a signature could not be checked')
      for (const value of signed) bad.add(value)
    })
    this.#verifying--
    if (bad.size > 0) logger.debug({ from: received.from, count: bad.size }, 'values with a bad signature')
    this.#engine.process(received, bad, clock.now())
    this.#schedule()
  }

  #tick(): void {
    this.#engine.tick(this.#env.clock.now())
    this.#schedule()
  }

  #schedule(): void {
    if (this.#stopped) return
    const atMs = this.#engine.nextMs
    if (this.#timer && atMs >= this.#timerAtMs && this.#timerAtMs !== Number.POSITIVE_INFINITY) return // the earlier timer looks again
    this.#timer?.cancel()
    this.#timer = undefined
    if (atMs === Number.POSITIVE_INFINITY) return
    this.#timerAtMs = atMs
    this.#timer = this.#env.clock.after(Math.max(0, atMs - this.#env.clock.now()), () => {
      this.#timer = undefined
      this.#timerAtMs = Number.POSITIVE_INFINITY
      this.#tick()
    })
  }

  // ---------------------------------------------------------------- operations

  #check(): void {
    if (!this.#started || this.#stopped) throw new JamiError('ERR_CLOSED', 'the DHT is not running')
  }

  #isConnected(): boolean {
    const { ipv4, ipv6 } = this.status()
    return ipv4 === 'connected' || ipv6 === 'connected'
  }

  /** Waits for the first connection, not longer than a search would be worth. */
  async #connected(signal: AbortSignal): Promise<void> {
    throwIfAborted(signal)
    if (this.#isConnected() || this.#hosts.size === 0) return
    await new Promise<void>((resolve) => {
      const done = () => {
        off()
        timer.cancel()
        signal.removeEventListener('abort', done)
        resolve()
      }
      const off = this.#status.listen(() => { if (this.#isConnected()) done() })
      const timer = this.#env.clock.after(CONNECT_WAIT_MS, done)
      signal.addEventListener('abort', done, { once: true })
    })
    throwIfAborted(signal)
  }

  async *get(key: InfoHash, options: Filter & Op = {}): AsyncIterable<DhtValue> {
    this.#check()
    const { signal, timeoutMs, ...filter } = options
    const found = new AsyncQueue<DhtValue>(65_536)
    const over = new LinkedSignal(signal, this.#tasks.signal)
    const op: Op = { signal: over.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
    const running = withOp(this.#env.clock, op, 'DHT get', (s) => this.#get(key, filter, found, s))
    running.then(() => found.end(), (error) => found.fail(error))
    try {
      yield* found
    } finally {
      over.abort(new JamiError('ERR_ABORTED', 'the reader has left')) // a loop that was left ends its search
    }
  }

  async #get(key: InfoHash, filter: Filter, found: AsyncQueue<DhtValue>, signal: AbortSignal): Promise<void> {
    const where = whereOf(filter)
    const seen = new Map<bigint, Value[]>() // bounded by the values at a key and MAX_VARIANTS
    const opening: Promise<void>[] = []
    const take = (values: readonly Value[]) => {
      const fresh = new Map<bigint, number>() // bounded by the values of one answer
      for (const value of values) {
        const known = seen.get(value.id) ?? []
        const count = fresh.get(value.id) ?? 0
        if (known.some((v) => sameValue(v, value)) || count >= MAX_VARIANTS_PER_REPLY || known.length >= MAX_VARIANTS || seen.size >= 65_536) continue
        fresh.set(value.id, count + 1) // no single node may hide what others have
        seen.set(value.id, [...known, value])
        opening.push(openValue(this.#env.crypto, value, filter.decryptWith).then((shown) => {
          if (shown && passes(shown, filter) && !found.ended) found.push(shown)
        }))
      }
    }
    take(this.#engine.ownValues(key).filter((v) => matches(where, v)))
    await this.#connected(signal)
    await new Promise<void>((resolve) => {
      let open = this.#engine.enabledFamilies().length
      const finish = () => {
        cancel?.()
        signal.removeEventListener('abort', finish)
        resolve()
      }
      const onDone = () => {
        open--
        if (open === 0) finish()
      }
      signal.addEventListener('abort', finish, { once: true })
      let cancel: (() => void) | undefined
      cancel = this.#engine.run(key, () => ({ kind: 'get', where, onValues: take, onDone }), this.#env.clock.now())
      this.#schedule()
    })
    await this.#env.clock.track(Promise.all(opening))
    throwIfAborted(signal)
  }

  async put(key: InfoHash, put: DhtPut | DhtPackedPut, options: { permanent?: boolean } & Op = {}): Promise<DhtPutResult> {
    this.#check()
    const { clock, crypto, random } = this.#env
    const { permanent = false, signal, timeoutMs } = options
    return withSignals([signal, this.#tasks.signal], (both) => withOp(clock, { signal: both, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, 'DHT put', async (s) => {
      const chosen = 'packed' in put ? 0n : (put.id ?? 0n)
      const id = chosen === 0n ? nonZero(random.u64()) : chosen
      const value = 'packed' in put ? withId(decodeValue(put.packed), id) : await clock.track(sealValue(crypto, id, put))
      await this.#connected(s)
      return this.#announce(key, value, permanent, s)
    }))
  }

  #announce(key: InfoHash, value: Value, permanent: boolean, signal: AbortSignal): Promise<DhtPutResult> {
    const { clock } = this.#env
    return new Promise((resolve, reject) => {
      let storedBy = 0
      let cancelled = false
      let over = false
      const waiting = new Set<4 | 6>(this.#engine.enabledFamilies())
      this.#engine.storeOwn(key, value, permanent, clock.now())
      const cancel = () => {
        if (cancelled) return
        cancelled = true
        cancelOps?.()
        if (permanent) this.#engine.removeOwn(key, value.id)
        this.#schedule()
      }
      const settle = () => {
        timer.cancel()
        offStatus()
        signal.removeEventListener('abort', onAbort)
      }
      const onAbort = () => {
        settle()
        cancel()
        reject(abortError(signal))
      }
      const check = () => {
        const status = this.status()
        for (const family of waiting) if (storedBy === 0 || status[family === 4 ? 'ipv4' : 'ipv6'] === 'connected') return
        done()
      }
      const done = () => {
        settle()
        over = true
        if (!permanent) cancelOps?.() // in a family without nodes it would wait for ever
        if (!permanent) cancelled = true
        resolve({ id: value.id, storedBy, cancel })
      }
      const timer = clock.after(PUT_TIMEOUT_MS, () => {
        if (storedBy > 0) return done()
        settle()
        cancel()
        reject(new JamiError('ERR_DHT_UNREACHABLE', `no node confirmed the value within ${PUT_TIMEOUT_MS} ms`, { details: { timeoutMs: PUT_TIMEOUT_MS } }))
      })
      const offStatus = this.#status.listen(check)
      signal.addEventListener('abort', onAbort, { once: true })
      let cancelOps: (() => void) | undefined
      cancelOps = this.#engine.run(key, (family) => ({
        kind: 'put', value, permanent,
        onAnnounced: (count) => {
          waiting.delete(family)
          storedBy += count
          check()
        },
      }), clock.now())
      if (over && !permanent) cancelOps()
      this.#schedule()
    })
  }

  async *listen(key: InfoHash, options: Filter & { signal: AbortSignal }): AsyncIterable<DhtListenEvent> {
    this.#check()
    const listening = new Listening(this.#env, options, this.#tasks)
    const offStored = this.#stored.listen((event) => {
      if (event.key === key) listening.local(event.value, event.expired)
    })
    for (const value of this.#engine.ownValues(key)) listening.local(value, false)
    const where = whereOf(options)
    const cancel = this.#engine.run(key, () => ({
      kind: 'listen', query: { select: [], where },
      onPush: (node, args) => listening.push(node, args),
      onNodeLost: (node) => listening.nodeLost(node),
    }), this.#env.clock.now())
    this.#schedule()
    const end = () => listening.events.end()
    const linked = new LinkedSignal(options.signal, this.#tasks.signal)
    const { signal } = linked
    if (signal.aborted) end()
    signal.addEventListener('abort', end, { once: true })
    try {
      yield* listening.events
    } finally {
      linked.release()
      offStored()
      cancel()
      listening.close()
      this.#schedule()
    }
  }
}

interface Held {
  value: Value
  shown: DhtValue | undefined
  readonly holders: Set<string>
  expiresMs: number
}

/** One listen: which values exist according to whom, told once each. */
class Listening {
  readonly events = new AsyncQueue<DhtListenEvent>(65_536)
  readonly #env: BaseEnv
  readonly #filter: Filter
  readonly #tasks: Tasks
  readonly #held = new Map<bigint, Held>() // bounded by MAX_LISTENED_VALUES
  #timer: Timer | undefined
  #closed = false

  constructor(env: BaseEnv, filter: Filter, tasks: Tasks) {
    this.#env = env
    this.#filter = filter
    this.#tasks = tasks
  }

  local(value: Value, expired: boolean): void {
    if (expired) this.#gone(value.id, 'here')
    else if (matches(whereOf(this.#filter), value)) this.#value('here', value)
  }

  push(node: NodeRecord, args: Arguments): void {
    const holder = `${node.family}${node.id}`
    for (const value of args.values ?? []) this.#value(holder, value)
    for (const id of args.refreshed ?? []) {
      const held = this.#held.get(id)
      if (held) held.expiresMs = this.#env.clock.now() + lifetimeMs(outerType(held.value))
    }
    for (const id of args.expired ?? []) this.#gone(id, holder)
  }

  nodeLost(node: NodeRecord): void {
    for (const held of this.#held.values()) if (held.holders.size > 1) held.holders.delete(`${node.family}${node.id}`)
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.events.end()
  }

  #value(holder: string, value: Value): void {
    if (this.#closed) return
    const expiresMs = this.#env.clock.now() + lifetimeMs(outerType(value))
    const known = this.#held.get(value.id)
    if (known && (sameValue(known.value, value) || (value.body?.seq ?? 0) <= (known.value.body?.seq ?? 0))) {
      known.holders.add(holder)
      known.expiresMs = expiresMs
      return
    }
    if (!known && this.#held.size >= MAX_LISTENED_VALUES) this.#makeRoom()
    const held: Held = { value, shown: undefined, holders: new Set([...(known?.holders ?? []), holder]), expiresMs }
    this.#held.set(value.id, held)
    this.#tasks.run('opening a value', async () => {
      const shown = await this.#env.clock.track(openValue(this.#env.crypto, value, this.#filter.decryptWith))
      if (!shown || !passes(shown, this.#filter) || this.#closed || this.#held.get(value.id) !== held) return
      held.shown = shown
      this.#tell(shown, false)
    })
    this.#watch()
  }

  /** The oldest goes that was of no use (not for us, not what is asked for), else the oldest: junk must not keep news out. */
  #makeRoom(): void {
    let oldest: [bigint, Held] | undefined
    for (const entry of this.#held) {
      oldest ??= entry
      if (entry[1].shown) continue
      oldest = entry
      break
    }
    if (oldest) this.#expire(...oldest)
  }

  #gone(id: bigint, holder: string): void {
    const held = this.#held.get(id)
    if (!held) return
    held.holders.delete(holder)
    if (held.holders.size === 0) this.#expire(id, held)
  }

  #expire(id: bigint, held: Held): void {
    this.#held.delete(id)
    if (held.shown) this.#tell(held.shown, true)
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
    const next = Math.min(...[...this.#held.values()].map((h) => h.expiresMs))
    this.#timer = this.#env.clock.after(Math.max(1000, next - this.#env.clock.now()), () => {
      this.#timer = undefined
      const now = this.#env.clock.now()
      for (const [id, held] of this.#held) if (held.expiresMs <= now && !held.holders.has('here')) this.#expire(id, held)
      this.#watch()
    })
  }
}

function nonZero(id: bigint): bigint {
  return id === 0n ? 1n : id
}

function withId(value: Value, id: bigint): Value {
  return value.id === 0n ? { ...value, id } : value
}

/** `host:port`, `[v6]:port`. @throws ERR_ARGUMENT */
function splitHost(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port < 1 || port > 65_535) throw new JamiError('ERR_ARGUMENT', `bootstrap: got ${JSON.stringify(text.slice(0, 100))}, allowed host:port or [v6]:port`)
  return { host: match[1] ?? match[2] ?? '', port }
}
