// The shell of the DHT node: sockets, timers, storage and cryptography around the engine; implements the Dht contract.
// docs/protocol/01 §3.6, §6. Proof: contract.test.ts, dht.test.ts, outage.test.ts, hostile.test.ts, interop dht-interop.
import { AsyncQueue, checkDhtGet, checkDhtListen, checkDhtPut, closedError, JamiError, LinkedSignal, Source, Tasks, throwIfAborted, withOp, withSignals } from '@jamikit/core/base'
import { toHex } from '@jamikit/core/codec'
import type { DatagramSocket, Dht, DhtListenEvent, DhtModule, DhtPackedPut, DhtPut, DhtPutResult, DhtStatus, DhtValue, InfoHash, Op, SocketAddress, Timer } from '@jamikit/core/contracts'
import { parseBootstrap } from '@jamikit/core/identity'
import { Bootstrap } from './bootstrap.ts'
import { MAX_STORE_BYTES } from './defaults.ts'
import { DhtEngine, type Received } from './engine/engine.ts'
import { type Filter, whereOf } from './filter.ts'
import { search } from './get.ts'
import { Listening } from './listening.ts'
import { announce } from './put.ts'
import { sealValue } from './secure/envelope.ts'
import { Opener } from './secure/opener.ts'
import { Verifier } from './secure/verifier.ts'
import { StateStore } from './state-store.ts'
import { decodeValue, type Value } from './wire/value.ts'

/** How long a get or put waits for the first connection. */
const CONNECT_WAIT_MS = 10_000
/** Fragments sent in one turn of the event loop; more are spread, for the sake of socket buffers. */
const BURST = 64

type Env = Parameters<DhtModule>[0]

/** A DHT node for createJamiNode(). Making it throws ERR_ARGUMENT for a bootstrap entry that is none. */
export function dht(): DhtModule {
  return (env) => new DhtNode(env)
}

class DhtNode implements Dht {
  readonly #env: Env
  readonly #tasks: Tasks
  readonly #status: Source<{ ipv4: DhtStatus; ipv6: DhtStatus }>
  readonly #stored: Source<{ key: InfoHash; value: Value; expired: boolean }>
  readonly #bootstrap: Bootstrap
  readonly #verifier: Verifier
  readonly #opener: Opener
  readonly #state: StateStore | undefined
  readonly #putting = new Set<Promise<void>>() // bounded by the callers
  readonly #sockets: Partial<Record<4 | 6, DatagramSocket>> = {}
  #nodeId: InfoHash
  #engine: DhtEngine | undefined
  #timer: Timer | undefined
  #timerAtMs = Number.POSITIVE_INFINITY
  #started: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(env: Env) {
    this.#env = env
    const { clock, crypto, logger, storage, prefix = 'dht' } = env
    const onError = (err: unknown) => logger.error({ err }, 'a listener threw')
    this.#tasks = new Tasks(clock, (err, what) => logger.warn({ err, what }, 'DHT task failed'))
    this.#status = new Source(onError)
    this.#stored = new Source(onError)
    this.#verifier = new Verifier(crypto, clock)
    this.#opener = new Opener(crypto, clock)
    this.#state = storage && new StateStore({ clock, logger, storage, prefix })
    this.#nodeId = toHex(env.random.bytes(20)) as InfoHash
    this.#bootstrap = new Bootstrap({
      clock, logger, network: env.network, tasks: this.#tasks,
      connected: () => this.#isConnected(),
      nodeCount: () => Math.max(this.nodeCount().ipv4, this.nodeCount().ipv6),
      found: (addresses) => {
        this.#engine?.addBootstrap(addresses.filter((a) => this.#sockets[a.family]), clock.now())
        this.#tick()
      },
    }, parseBootstrap(env.bootstrap))
  }

  // ---------------------------------------------------------------- life

  /** Where the DHT has a storage, the one of earlier runs, once it is started. */
  get nodeId(): InfoHash {
    return this.#nodeId
  }

  get onStatus() {
    return this.#status.listen
  }

  status(): { ipv4: DhtStatus; ipv6: DhtStatus } {
    return this.#engine?.status() ?? { ipv4: 'disconnected', ipv6: 'disconnected' }
  }

  nodeCount(): { ipv4: number; ipv6: number } {
    return this.#engine?.nodeCount(this.#env.clock.now()) ?? { ipv4: 0, ipv6: 0 }
  }

  start(): Promise<void> {
    this.#started ??= this.#stopped ? Promise.resolve() : this.#start()
    return this.#started
  }

  async #start(): Promise<void> {
    await this.#openSockets()
    try {
      const kept = await this.#state?.load()
      if (this.#stopped) return await this.#closeSockets()
      const engine = this.#makeEngine(kept)
      this.#engine = engine
      this.#nodeId = engine.nodeId
      for (const family of [4, 6] as const) {
        const socket = this.#sockets[family]
        if (!socket) continue
        socket.onDatagram = (bytes, from) => this.#receive(engine, bytes, from)
        engine.setEnabled(family, true)
      }
      engine.announceRestored(this.#env.clock.now())
      this.#state?.begin(() => engine.exportState())
    } catch (error) {
      await this.#closeSockets()
      throw error
    }
    this.#bootstrap.now()
    this.#schedule()
  }

  #makeEngine(state: Uint8Array | undefined): DhtEngine {
    const env = this.#env
    return new DhtEngine({
      nodeId: this.#nodeId, network: env.networkId ?? 0, maxStoreBytes: env.maxStoreBytes ?? MAX_STORE_BYTES, random: env.random,
      ...(state ? { state } : {}),
      wallTimeMs: () => env.clock.wallTimeMs(),
      send: (datagrams, to) => this.#send(datagrams, to),
      onStored: (key, value, expired) => this.#stored.emit({ key, value, expired }),
      onStatus: () => {
        this.#status.emit(this.status())
        this.#bootstrap.statusChanged()
      },
      onProblem: (err) => env.logger.warn({ err }, 'the DHT has a problem'),
    }, env.clock.now())
  }

  /** One family is enough; a port that was asked for and is taken is not overlooked in either. @throws ERR_ARGUMENT, ERR_UNSUPPORTED */
  async #openSockets(): Promise<void> {
    const { network, port, logger } = this.#env
    let failure: unknown
    for (const family of [4, 6] as const) {
      try {
        this.#sockets[family] = await network.bindDatagram({ family, ...(port === undefined ? {} : { port }) })
      } catch (error) {
        failure = error
        const missing = JamiError.is(error, 'ERR_UNSUPPORTED')
        if (!missing && port !== undefined && port !== 0) {
          await this.#closeSockets()
          throw new JamiError('ERR_ARGUMENT', `port: got ${port}, which is taken in IPv${family}, allowed a free UDP port`, { cause: error, details: { field: 'port', got: port, allowed: 'a free UDP port', family } })
        }
        const level = family === 4 || !missing ? 'warn' : 'debug'
        logger[level]({ err: JamiError.from(error), family }, family === 4 ? 'no IPv4 on this machine: nodes that have only IPv4 are out of reach' : 'no IPv6 on this machine')
      }
    }
    if (!this.#sockets[4] && !this.#sockets[6]) throw failure
  }

  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      await this.#started?.catch(() => {})
      this.#engine?.stop()
      this.#timer?.cancel()
      this.#opener.close()
      this.#verifier.close()
      await this.#tasks.close()
      await Promise.all(this.#putting)
      await this.#state?.close()
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
    this.#bootstrap.add(parseBootstrap(hosts))
    if (this.#engine && !this.#stopped) this.#bootstrap.now()
  }

  connectivityChanged(): void {
    if (!this.#engine || this.#stopped) return
    this.#engine.connectivityChanged(this.#env.clock.now())
    this.#bootstrap.now()
    this.#schedule()
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

  #receive(engine: DhtEngine, bytes: Uint8Array, from: SocketAddress): void {
    const now = this.#env.clock.now()
    const received = engine.receive(bytes, from, now)
    if (received && received.unverified.length > 0) void this.#verify(engine, received)
    else if (received) engine.process(received, new Set(), now)
    this.#schedule()
  }

  /** What nobody looked at is refused, as what is beyond the budget of its source. */
  async #verify(engine: DhtEngine, received: Received): Promise<void> {
    const { message, from, unverified } = received
    const isPut = message.kind === 'request' && message.name === 'put'
    const { bad, vouched, skipped } = await this.#verifier.check(unverified, from, !isPut)
    if (this.#stopped) return
    if (bad.size + skipped.size > 0) this.#env.logger.debug({ from, bad: bad.size, skipped: skipped.size }, 'values with a bad signature, or too many')
    const checked: Received = skipped.size === 0 ? received : {
      ...received, refused: [...received.refused, ...skipped],
      message: { ...message, args: { ...message.args, values: message.args.values?.filter((v) => !skipped.has(v)) ?? [] } },
    }
    engine.process(checked, bad, this.#env.clock.now(), vouched)
    this.#schedule()
  }

  #tick(): void {
    this.#engine?.tick(this.#env.clock.now())
    this.#schedule()
  }

  #schedule(): void {
    if (this.#stopped || !this.#engine) return
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

  #running(): DhtEngine {
    if (!this.#engine || this.#stopped) throw closedError('the DHT')
    return this.#engine
  }

  #shell(engine: DhtEngine) {
    return { clock: this.#env.clock, engine, opener: this.#opener, status: this.#status, schedule: () => this.#schedule(), connected: (signal: AbortSignal) => this.#connected(signal) }
  }

  #isConnected(): boolean {
    const { ipv4, ipv6 } = this.status()
    return ipv4 === 'connected' || ipv6 === 'connected'
  }

  /** Waits for the first connection, not longer than a search would be worth. */
  async #connected(signal: AbortSignal): Promise<void> {
    throwIfAborted(signal)
    if (this.#isConnected() || this.#bootstrap.size === 0) return
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

  get(key: InfoHash, options: Filter & Op = {}): AsyncIterable<DhtValue> {
    checkDhtGet(key, options)
    return this.#get(key, options)
  }

  async *#get(key: InfoHash, options: Filter & Op): AsyncIterable<DhtValue> {
    const shell = this.#shell(this.#running())
    const { signal, timeoutMs, ...filter } = options
    const found = new AsyncQueue<DhtValue>(65_536)
    const over = new LinkedSignal(signal, this.#tasks.signal)
    const op: Op = { signal: over.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
    const running = withOp(this.#env.clock, op, 'DHT get', (s) => search(shell, key, filter, found, s))
    running.then(() => found.end(), (error) => found.fail(error))
    try {
      yield* found
    } finally {
      over.abort(new JamiError('ERR_ABORTED', 'the reader has left')) // a loop that was left ends its search
    }
  }

  async put(key: InfoHash, put: DhtPut | DhtPackedPut, options: { permanent?: boolean } & Op = {}): Promise<DhtPutResult> {
    checkDhtPut(key, put, options)
    const shell = this.#shell(this.#running())
    const { clock, crypto, random } = this.#env
    const { permanent = false, signal, timeoutMs } = options
    const putting = withSignals([signal, this.#tasks.signal], (both) => withOp(clock, { signal: both, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, 'DHT put', async (s) => {
      const packed = 'packed' in put ? decodeValue(put.packed) : undefined
      const chosen = packed ? packed.id : 'packed' in put ? 0n : (put.id ?? 0n)
      const id = chosen === 0n ? nonZero(random.u64()) : chosen
      const value = packed ? { ...packed, id } : await clock.track(sealValue(crypto, id, put as DhtPut))
      await this.#connected(s)
      const result = await announce(shell, key, value, permanent, s)
      if (!permanent) return result
      this.#state?.soon()
      return { ...result, cancel: () => { result.cancel(); this.#state?.soon() } }
    }))
    const settled = putting.then(() => {}, () => {}).then(() => void this.#putting.delete(settled))
    this.#putting.add(settled)
    return putting
  }

  listen(key: InfoHash, options: Filter & { signal: AbortSignal }): AsyncIterable<DhtListenEvent> {
    checkDhtListen(key, options)
    return this.#listen(key, options)
  }

  async *#listen(key: InfoHash, options: Filter & { signal: AbortSignal }): AsyncIterable<DhtListenEvent> {
    const engine = this.#running()
    const { clock } = this.#env
    const listening = new Listening({ clock, opener: this.#opener, tasks: this.#tasks }, options)
    const offStored = this.#stored.listen((event) => {
      if (event.key === key) listening.local(event.value, event.expired)
    })
    for (const value of engine.ownValues(key)) listening.local(value, false)
    const cancel = engine.run(key, () => ({
      kind: 'listen', query: { select: [], where: whereOf(options) },
      onPush: (node, args) => listening.push(node, args),
      onNodeLost: (node) => listening.nodeLost(node),
    }), clock.now())
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

function nonZero(id: bigint): bigint {
  return id === 0n ? 1n : id
}
