// ICE over TCP as states and events: which connections to open, what to answer, which one wins. No sockets, timers or promises:
// effects go to the host, time comes in. docs/protocol/02 §2.4, §2.5, §2.8; RFC 8445, RFC 6544. Proof: agent/agent.test.ts.
import { compareBytes } from '@jamikit/core/codec'
import type { Random } from '@jamikit/core/contracts'
import { CHECK_TIMEOUT_MS, MAX_OUTGOING, NEGOTIATION_TIMEOUT_MS, PACING_MS, PASSIVE_GRACE_MS, STUN_PER_SECOND } from '../defaults.ts'
import type { Candidate, CandidateType, IceDescription } from '../wire/ice-text.ts'
import { BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, decodeStun, encodeStun, hasIntegrity, type ParsedStun } from '../wire/stun.ts'

/** PRIORITY attribute of checks: a peer-reflexive candidate. */
const PRFLX_PRIORITY = 1_862_270_975

export interface AgentHost {
  connect(connection: number, to: { host: string; port: number; family: 4 | 6 }): void
  send(connection: number, stun: Uint8Array): void
  /** The other end of this connection knows a password of ours: it is the peer. Called at most once for each. */
  verified(connection: number): void
  /** This connection carries the link. Called once. */
  done(connection: number, kind: CandidateType): void
  failed(reason: string): void
}

interface Connection {
  readonly id: number
  /** The remote passive candidate that we connected to; undefined for accepted ones. */
  readonly candidate: Candidate | undefined
  state: 'connecting' | 'open'
  /** Address bytes and port of the other end, for XOR-MAPPED-ADDRESS. */
  remote: { readonly address: Uint8Array; readonly port: number } | undefined
  check: { readonly transaction: Uint8Array; readonly nominating: boolean; readonly deadlineMs: number } | undefined
  /** Our own check succeeded. */
  valid: boolean
  failedCheck: boolean
  /** A message on it had the integrity that only the peer can give it. */
  verified: boolean
  /** The peer has checked this connection. */
  checked: boolean
  /** The peer asked for this connection. */
  nominated: boolean
  /** Messages of the second that began then: more than STUN_PER_SECOND are not looked at. */
  second: { atMs: number; messages: number }
}

export interface AgentOptions {
  readonly controlling: boolean
  readonly ufrag: string
  readonly password: string
  /** Families with a local address. */
  readonly families: ReadonlySet<4 | 6>
  /** False for remote candidates that must not be connected to. */
  readonly mayConnect: (candidate: Candidate) => boolean
  readonly random: Random
}

export class IceAgent {
  readonly #o: AgentOptions
  readonly #host: AgentHost
  readonly #tieBreaker: Uint8Array
  readonly #connections = new Map<number, Connection>() // bounded by MAX_OUTGOING and the host's limit on accepted ones
  #controlling: boolean
  #remote: IceDescription | undefined
  #queue: Candidate[] = [] // bounded by MAX_OUTGOING
  #nextConnectMs = Number.POSITIVE_INFINITY
  #deadlineMs = Number.POSITIVE_INFINITY
  /** Everything of ours has failed: the peer may still connect, until then. */
  #graceMs = Number.POSITIVE_INFINITY
  #nextId = 1
  #state: 'running' | 'done' | 'failed' = 'running'

  constructor(options: AgentOptions, host: AgentHost) {
    this.#o = options
    this.#host = host
    this.#controlling = options.controlling
    this.#tieBreaker = options.random.bytes(8)
  }

  /** Final only when the link is made: a role conflict may change it. */
  get controlling(): boolean {
    return this.#controlling
  }

  get state(): 'running' | 'done' | 'failed' {
    return this.#state
  }

  get nextMs(): number {
    let next = Math.min(this.#nextConnectMs, this.#state === 'running' ? Math.min(this.#deadlineMs, this.#graceMs) : Number.POSITIVE_INFINITY)
    for (const c of this.#connections.values()) if (c.check) next = Math.min(next, c.check.deadlineMs)
    return next
  }

  /** The peer's description: checks begin. Connections that came before are checked now. */
  start(remote: IceDescription, now: number): void {
    if (this.#remote) return
    this.#remote = remote
    if (remote.candidates.length === 0) return this.#fail('the peer offers no candidate')
    this.#deadlineMs = now + NEGOTIATION_TIMEOUT_MS
    this.#queue = interleave(remote.candidates.filter((c) => c.tcpType === 'passive' && this.#o.families.has(c.family) && this.#o.mayConnect(c))).slice(0, MAX_OUTGOING)
    this.#nextConnectMs = this.#queue.length > 0 ? now : Number.POSITIVE_INFINITY
    for (const c of this.#connections.values()) if (c.checked) this.#check(c, now)
    this.tick(now)
  }

  /** A connection that was accepted. @returns its id */
  accepted(remote: { address: Uint8Array; port: number }): number {
    const id = this.#nextId++
    this.#connections.set(id, { id, candidate: undefined, state: 'open', remote, check: undefined, valid: false, failedCheck: false, verified: false, checked: false, nominated: false, second: { atMs: 0, messages: 0 } })
    return id
  }

  connected(id: number, remote: { address: Uint8Array; port: number }, now: number): void {
    const c = this.#connections.get(id)
    if (!c) return
    c.state = 'open'
    c.remote = remote
    this.#check(c, now)
  }

  /** The connection could not be made, or has ended. */
  closed(id: number, now: number): void {
    if (this.#connections.delete(id)) this.#settle(now)
  }

  /** A STUN message of a connection. Bad ones are ignored. */
  stun(id: number, frame: Uint8Array, now: number): void {
    const c = this.#connections.get(id)
    if (!c) return
    const { second } = c
    if (now - second.atMs >= 1000) Object.assign(second, { atMs: now, messages: 0 })
    if (++second.messages > STUN_PER_SECOND) return
    let m: ParsedStun
    try {
      m = decodeStun(frame)
    } catch {
      return
    }
    if (m.type === BINDING_REQUEST) this.#request(c, m, now)
    else if (m.type === BINDING_SUCCESS || m.type === BINDING_ERROR) this.#response(c, m, now)
  }

  tick(now: number): void {
    while (this.#state === 'running' && this.#nextConnectMs <= now) {
      const candidate = this.#queue.shift()
      if (candidate) {
        const id = this.#nextId++
        this.#connections.set(id, { id, candidate, state: 'connecting', remote: undefined, check: undefined, valid: false, failedCheck: false, verified: false, checked: false, nominated: false, second: { atMs: 0, messages: 0 } })
        this.#host.connect(id, candidate)
      }
      this.#nextConnectMs = this.#queue.length > 0 ? now + PACING_MS : Number.POSITIVE_INFINITY
    }
    for (const c of this.#connections.values()) {
      if (c.check && c.check.deadlineMs <= now) {
        c.check = undefined
        c.failedCheck = true
      }
    }
    this.#settle(now)
    if (this.#state === 'running' && now >= Math.min(this.#deadlineMs, this.#graceMs)) this.#fail('no pair of candidates worked in time')
  }

  #request(c: Connection, m: ParsedStun, now: number): void {
    const { ufrag, password } = this.#o
    const separator = m.username?.indexOf(':') ?? -1
    if (separator < 0 || m.username?.slice(0, separator) !== ufrag || !hasIntegrity(m, password)) return
    const conflict = this.#controlling ? m.controlling : m.controlled
    if (conflict && this.#state === 'running') {
      const keep = compareBytes(this.#tieBreaker, conflict) >= 0
      if (keep === this.#controlling) {
        this.#host.send(c.id, encodeStun({ type: BINDING_ERROR, transaction: m.transaction, errorCode: 487 }, password))
        return
      }
      this.#controlling = !this.#controlling
    }
    const mapped = c.remote
    this.#host.send(c.id, encodeStun({ type: BINDING_SUCCESS, transaction: m.transaction, ...(mapped ? { mapped } : {}) }, password))
    c.checked = true
    this.#proved(c)
    if (m.useCandidate) c.nominated = true
    if (!c.valid && !c.check && this.#state === 'running') this.#check(c, now) // triggered check: the peer waits for it
    this.#settle(now)
  }

  #response(c: Connection, m: ParsedStun, now: number): void {
    const { check } = c
    if (!check || !this.#remote || compareBytes(check.transaction, m.transaction) !== 0 || !hasIntegrity(m, this.#remote.password)) return
    c.check = undefined
    this.#proved(c)
    if (m.type === BINDING_ERROR) {
      if (m.errorCode !== 487 || this.#state !== 'running') {
        c.failedCheck = true
      } else {
        this.#controlling = !this.#controlling
        this.#check(c, now)
      }
    } else if (!m.mapped) c.failedCheck = true
    else {
      c.valid = true
      if (check.nominating) return this.#done(c)
    }
    this.#settle(now)
  }

  #proved(c: Connection): void {
    if (c.verified) return
    c.verified = true
    this.#host.verified(c.id)
  }

  #check(c: Connection, now: number, nominating = false): void {
    if (!this.#remote || c.state !== 'open' || c.check || this.#state !== 'running') return
    const transaction = this.#o.random.bytes(12)
    c.check = { transaction, nominating, deadlineMs: now + CHECK_TIMEOUT_MS }
    this.#host.send(c.id, encodeStun({
      type: BINDING_REQUEST, transaction, priority: PRFLX_PRIORITY, username: `${this.#remote.ufrag}:${this.#o.ufrag}`,
      ...(nominating ? { useCandidate: true } : {}),
      ...(this.#controlling ? { controlling: this.#tieBreaker } : { controlled: this.#tieBreaker }),
    }, this.#remote.password))
  }

  #settle(now: number): void {
    if (this.#state !== 'running' || !this.#remote) return
    for (const c of this.#connections.values()) {
      if (c.state !== 'open' || !c.valid) continue
      if (!this.#controlling && c.nominated) return this.#done(c)
      if (this.#controlling && ![...this.#connections.values()].some((other) => other.check?.nominating)) return this.#check(c, now, true)
    }
    if (this.#mayStillWork()) this.#graceMs = Number.POSITIVE_INFINITY
    else this.#graceMs = Math.min(this.#graceMs, now + PASSIVE_GRACE_MS)
  }

  #mayStillWork(): boolean {
    return this.#queue.length > 0 || [...this.#connections.values()].some((c) => c.state === 'connecting' || c.check !== undefined || c.valid)
  }

  #done(c: Connection): void {
    if (this.#state !== 'running') return
    this.#state = 'done'
    this.#queue = []
    this.#nextConnectMs = Number.POSITIVE_INFINITY
    for (const other of this.#connections.values()) other.check = undefined
    this.#host.done(c.id, c.candidate?.type ?? 'host')
  }

  #fail(reason: string): void {
    this.#state = 'failed'
    this.#queue = []
    this.#host.failed(reason)
  }
}

/** By priority within a family, families in turn, so that a dead family does not delay the other. */
function interleave(candidates: readonly Candidate[]): Candidate[] {
  const sorted = [...candidates].sort((a, b) => b.priority - a.priority)
  const v4 = sorted.filter((c) => c.family === 4)
  const v6 = sorted.filter((c) => c.family === 6)
  const out: Candidate[] = []
  for (let i = 0; i < Math.max(v4.length, v6.length); i++) for (const c of [v4[i], v6[i]]) if (c) out.push(c)
  return out
}

