// One end of a simulated TCP connection: ordered, with a window that holds the writer, stalling while the hosts are cut off from
// each other, ending and breaking as real connections do. Proof: testing/sim-network.test.ts with testing/suites/network.ts.
import { JamiError } from '../base/errors.ts'
import { type Deferred, deferred } from '../base/operation.ts'
import type { Timer } from '../contracts/clock.ts'
import type { SocketAddress, StreamSocket } from '../contracts/socket.ts'
import { type SimWire, show } from './sim-wire.ts'

/** As the real sockets of core/io. */
const FLUSH_MS = 5000
const LINGER_MS = 500
const SEGMENT_BYTES = 65_536

export interface StreamEnd {
  readonly host: string
  readonly address: SocketAddress
}

type Segment = { readonly kind: 'data'; readonly bytes: Uint8Array } | { readonly kind: 'fin' | 'rst' }
interface Write {
  readonly bytes: Uint8Array
  sent: number
  readonly done: Deferred<void>
}

/** A connected pair; the first is the client's. */
export function streamPair(wire: SimWire, client: StreamEnd, server: StreamEnd, onGone: (socket: SimStreamSocket) => void): [SimStreamSocket, SimStreamSocket] {
  const a = new SimStreamSocket(wire, client, server, onGone)
  const b = new SimStreamSocket(wire, server, client, onGone)
  a.connect(b)
  b.connect(a)
  return [a, b]
}

export class SimStreamSocket implements StreamSocket {
  readonly local: SocketAddress
  readonly remote: SocketAddress
  readonly #wire: SimWire
  readonly #here: string
  readonly #there: string
  readonly #onGone: (socket: SimStreamSocket) => void
  readonly #offHeal: () => void
  readonly #gone = deferred<void>()
  #peer: SimStreamSocket | undefined
  // Outwards.
  #outbox: Write[] = [] // bounded by the caller's own pending writes
  #unread = 0 // sent and not read by the peer; bounded by windowBytes and one segment
  #queue: { due: number; segment: Segment }[] = [] // on the way; bounded by #unread
  #timer: Timer | undefined
  #lastDue = 0
  #stalled: Timer | undefined
  #credit: Timer | undefined
  #finSent = false
  #finDelivered = false
  // Inwards.
  #inbox: Uint8Array[] = [] // bounded by the peer's window
  #finReceived = false
  #readers: (() => void)[] = [] // bounded by the caller's own pending reads
  #failure: JamiError | undefined
  #dead = false
  #closing: Promise<void> | undefined
  #limit: Timer | undefined

  constructor(wire: SimWire, here: StreamEnd, there: StreamEnd, onGone: (socket: SimStreamSocket) => void) {
    this.#wire = wire
    this.#here = here.host
    this.#there = there.host
    this.local = here.address
    this.remote = there.address
    this.#onGone = onGone
    this.#offHeal = wire.onHeal(() => this.#resume())
  }

  connect(peer: SimStreamSocket): void {
    this.#peer = peer
  }

  // Writing.

  write(bytes: Uint8Array): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure)
    if (this.#closing || this.#dead) return Promise.reject(lost('was closed'))
    if (bytes.length === 0) return Promise.resolve()
    const done = deferred<void>()
    this.#outbox.push({ bytes: bytes.slice(), sent: 0, done })
    this.#pump()
    return done.promise
  }

  #pump(): void {
    while (this.#unread < this.#wire.tcp.windowBytes) {
      const next = this.#outbox[0]
      if (!next) break
      const bytes = next.bytes.subarray(next.sent, next.sent + SEGMENT_BYTES)
      next.sent += bytes.length
      this.#unread += bytes.length
      this.#transmit({ kind: 'data', bytes })
      if (next.sent < next.bytes.length) continue
      this.#outbox.shift()
      next.done.resolve()
    }
    if (this.#closing && this.#outbox.length === 0 && !this.#finSent && !this.#dead) {
      this.#finSent = true
      this.#transmit({ kind: 'fin' })
    }
  }

  #transmit(segment: Segment): void {
    const wire = this.#wire
    const { lossRate } = wire.link(this.#here, this.#there)
    let due = wire.clock.now() + wire.delay(this.#here, this.#there)
    while (lossRate > 0 && wire.random.chance(Math.min(lossRate, 0.9))) due += wire.tcp.retransmitMs
    this.#lastDue = Math.max(due, this.#lastDue) // order is kept
    wire.packet(`tcp-${segment.kind}`, this.local, this.remote, segment.kind === 'data' ? segment.bytes : NOTHING)
    this.#queue.push({ due: this.#lastDue, segment })
    this.#arm()
  }

  #arm(): void {
    const head = this.#queue[0]
    if (!head || this.#timer || this.#stalled) return
    this.#timer = this.#wire.clock.after(head.due - this.#wire.clock.now(), () => {
      this.#timer = undefined
      this.#arrive()
    })
  }

  /** What is due gets to the peer, unless the hosts are cut off from each other. */
  #arrive(): void {
    const now = this.#wire.clock.now()
    if (this.#wire.isCut(this.#here, this.#there)) {
      if (this.#queue[0]?.segment.kind === 'rst') this.#queue = []
      if (this.#queue.length > 0) this.#stalled ??= this.#wire.clock.after(this.#wire.tcp.stallMs, () => this.#fail(lost('broke: nothing got through')))
      return
    }
    for (let head = this.#queue[0]; head && head.due <= now; head = this.#queue[0]) {
      this.#queue.shift()
      const { segment } = head
      if (segment.kind === 'data') this.#peer?.receive(segment.bytes)
      else if (segment.kind === 'rst') this.#peer?.reset()
      else {
        this.#finDelivered = true
        this.#peer?.receiveFin()
        this.#afterFin()
      }
    }
    this.#arm()
  }

  /** The partition changed: what waited is repeated. */
  #resume(): void {
    if (!this.#stalled || this.#wire.isCut(this.#here, this.#there)) return
    this.#stalled.cancel()
    this.#stalled = undefined
    const again = this.#wire.clock.now() + this.#wire.tcp.retransmitMs + this.#wire.delay(this.#here, this.#there)
    for (const entry of this.#queue) entry.due = Math.max(entry.due, again)
    this.#lastDue = Math.max(this.#lastDue, again)
    this.#arm()
  }

  /** The peer's reader took bytes: the window opens, one latency later. */
  taken(length: number): void {
    this.#unread -= length
    if (this.#dead || this.#outbox.length === 0 || this.#credit) return
    this.#credit = this.#wire.clock.after(this.#wire.delay(this.#there, this.#here), () => {
      this.#credit = undefined
      this.#pump()
    })
  }

  // Reading.

  receive(bytes: Uint8Array): void {
    if (this.#dead) {
      this.#transmitReset()
      return
    }
    if (this.#closing) {
      this.#peer?.taken(bytes.length) // nobody reads any more
      return
    }
    this.#inbox.push(bytes)
    this.#wake()
  }

  receiveFin(): void {
    this.#finReceived = true
    if (this.#dead) return
    if (this.#inbox.length === 0) this.#ended()
    this.#afterFin()
  }

  /** No half-closed connections: once the peer ended, so do we. */
  #ended(): void {
    void this.close()
  }

  reset(): void {
    if (!this.#dead) this.#fail(lost('was reset by the peer'))
  }

  async #pull(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      if (this.#failure) throw this.#failure
      if (this.#closing || this.#dead) return { value: undefined, done: true }
      const bytes = this.#inbox.shift()
      if (bytes) {
        this.#peer?.taken(bytes.length)
        if (this.#finReceived && this.#inbox.length === 0) this.#ended()
        return { value: bytes, done: false }
      }
      await new Promise<void>((resolve) => this.#readers.push(resolve))
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return { next: () => this.#pull() }
  }

  #wake(): void {
    const readers = this.#readers
    this.#readers = []
    for (const reader of readers) reader()
  }

  // Ending.

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    if (this.#dead) return
    this.#limit = this.#wire.clock.after(FLUSH_MS, () => this.#die(lost('did not flush in time')))
    await Promise.resolve() // #closing is set from here on
    for (const bytes of this.#inbox.splice(0)) this.#peer?.taken(bytes.length)
    this.#wake()
    this.#pump()
    await this.#gone.promise
  }

  #afterFin(): void {
    if (!this.#finDelivered || this.#dead) return
    if (this.#finReceived) return this.#die()
    this.#limit?.cancel()
    this.#limit = this.#wire.clock.after(LINGER_MS, () => this.#die())
  }

  abort(reason?: Error): void {
    if (this.#dead) return
    this.#queue = []
    this.#timer?.cancel()
    this.#timer = undefined
    this.#fail(new JamiError('ERR_LINK_LOST', 'the TCP connection was aborted', reason === undefined ? {} : { cause: reason }))
    this.#transmitReset()
  }

  #transmitReset(): void {
    this.#transmit({ kind: 'rst' })
  }

  #fail(error: JamiError): void {
    this.#wire.note(() => `tcp-broken ${show(this.local)}>${show(this.remote)}: ${error.message}`)
    this.#failure ??= error
    this.#die(error)
  }

  #die(error: JamiError = lost('was closed')): void {
    if (this.#dead) return
    this.#dead = true
    this.#timer?.cancel()
    this.#timer = undefined
    this.#stalled?.cancel()
    this.#stalled = undefined
    this.#credit?.cancel()
    this.#limit?.cancel()
    this.#queue = []
    this.#inbox = []
    this.#offHeal()
    for (const { done } of this.#outbox.splice(0)) {
      done.promise.catch(() => {}) // the writer may have gone
      done.reject(error)
    }
    this.#wake()
    this.#gone.resolve()
    this.#onGone(this)
  }
}

const NOTHING = new Uint8Array(0)

function lost(what: string): JamiError {
  return new JamiError('ERR_LINK_LOST', `the TCP connection ${what}`)
}
