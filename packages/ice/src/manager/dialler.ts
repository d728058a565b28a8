// Links that we ask for: one attempt per device at a time, shared by all who wait; and who refuses us is not asked in a loop.
// docs/protocol/02 §1.6, §4.9. Proof: manager/rendezvous.test.ts, manager/dialler.test.ts.
import { abortError, type Deferred, deferred, delay, JamiError, type Tasks, throwIfAborted, withOp, withSignals } from '@jamikit/core/base'
import type { DeviceId, OpenChannelOptions, PeerIdentity } from '@jamikit/core/contracts'
import { ANSWER_TIMEOUT_MS, MAX_COUNTED_DEVICES, REDIAL_FIRST_MS, REDIAL_MAX_MS, SHORT_LINK_MS } from '../defaults.ts'
import { IceSession } from '../link/ice-session.ts'
import type { Link } from '../link/link.ts'
import { type IceDescription, parseIceDescription, printIceDescription } from '../wire/ice-text.ts'
import type { PeerRequest } from '../wire/peer-request.ts'
import { type ManagerEnv, putRequest } from './rendezvous.ts'

interface Waiting {
  readonly device: DeviceId
  readonly answer: Deferred<IceDescription>
}

/** A device that answers, and with which no link stays. */
interface Refusal {
  failures: number
  notBeforeMs: number
  /** Fires when there is a reason to try at once. */
  readonly forgiven: AbortController
}

export interface DiallerHost {
  /** Runs `work` until the peer is closed, at the latest. */
  cancellable<T>(device: DeviceId, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T>
  /** Makes the link of a negotiation, and adds it. */
  connect(session: IceSession, remote: IceDescription, peer: PeerIdentity, id: number, signal: AbortSignal): Promise<Link>
}

type Wanted = Pick<OpenChannelOptions, 'account' | 'connType'> & {
  /** A link beside the one that is there, which has this id: new channels of both sides keep to that one, as they use the lowest. */
  readonly beside?: number
}

export class Dialler {
  readonly #env: ManagerEnv
  readonly #tasks: Tasks
  readonly #host: DiallerHost
  readonly #connecting = new Map<string, Promise<Link>>() // by device, and what it is for; bounded by callers
  readonly #waitingForLink = new Map<DeviceId, Set<(link: Link) => void>>() // bounded by callers
  readonly #answers = new Map<number, Waiting>() // bounded by #connecting
  readonly #refusals = new Map<DeviceId, Refusal>() // oldest first; bounded by MAX_COUNTED_DEVICES

  constructor(env: ManagerEnv, tasks: Tasks, host: DiallerHost) {
    this.#env = env
    this.#tasks = tasks
    this.#host = host
  }

  stop(reason: JamiError): void {
    for (const { answer } of this.#answers.values()) {
      answer.promise.catch(() => {})
      answer.reject(reason)
    }
  }

  /** A link that somebody makes, from either side: our own attempt, or the peer's. */
  link(device: DeviceId, wanted: Wanted, signal: AbortSignal): Promise<Link> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(abortError(signal))
      const waiting = this.#waitingForLink.get(device) ?? new Set()
      this.#waitingForLink.set(device, waiting)
      const done = () => {
        waiting.delete(onLink)
        if (waiting.size === 0 && this.#waitingForLink.get(device) === waiting) this.#waitingForLink.delete(device)
        signal.removeEventListener('abort', onAbort)
      }
      const onLink = (link: Link) => {
        done()
        resolve(link)
      }
      const onAbort = () => {
        done()
        reject(abortError(signal))
      }
      waiting.add(onLink)
      signal.addEventListener('abort', onAbort, { once: true })
      this.#attempt(device, wanted).then(onLink, (error) => {
        done()
        reject(error)
      })
    })
  }

  /** A link beside the one with this id, whatever others there are. */
  besideLink(device: DeviceId, wanted: Wanted & { beside: number }): Promise<Link> {
    return this.#attempt(device, wanted)
  }

  /** A link is up: whoever waits for one to this device has it. */
  linked(link: Link): void {
    for (const waiting of [...(this.#waitingForLink.get(link.peer.deviceId) ?? [])]) waiting(link)
  }

  /** A link is down: one that carried nothing and did not last is as good as a refusal. */
  ended(link: Link): void {
    const { deviceId } = link.peer
    if (link.wasUsed || this.#env.clock.now() - link.sinceMs >= SHORT_LINK_MS) this.forgive(deviceId)
    else this.#refused(deviceId)
  }

  /** The device, or (without one) the network, gave a reason to try at once. */
  forgive(device?: DeviceId): void {
    for (const known of device === undefined ? [...this.#refusals.keys()] : [device]) {
      this.#refusals.get(known)?.forgiven.abort()
      this.#refusals.delete(known)
    }
  }

  /** An answer that came; most are to requests of others, or late. */
  answered(from: DeviceId, request: PeerRequest): void {
    const waiting = this.#answers.get(request.id)
    if (!waiting || waiting.device !== from) return this.#env.logger.debug({ from, id: request.id }, 'an answer that nobody waits for')
    try {
      waiting.answer.resolve(parseIceDescription(request.iceMessage))
    } catch (error) {
      waiting.answer.reject(JamiError.from(error, 'ERR_NO_ROUTE'))
    }
  }

  #attempt(device: DeviceId, wanted: Wanted): Promise<Link> {
    const key = wanted.beside === undefined ? device : `${device} bulk`
    const running = this.#connecting.get(key)
    if (running) return running
    const attempt = this.#host.cancellable(device, this.#tasks.signal, (signal) => this.#request(device, wanted, signal)).finally(() => this.#connecting.delete(key))
    attempt.catch(() => {})
    this.#connecting.set(key, attempt)
    this.#tasks.run(`link to ${device}`, () => attempt.then(() => {}, () => {}))
    return attempt
  }

  /** We ask: ICE controlled, TLS server. */
  async #request(device: DeviceId, { account, connType = '', beside = 0 }: Wanted, signal: AbortSignal): Promise<Link> {
    const { certificates, clock, random, policy, logger } = this.#env
    const peer = await certificates.find(device, { signal, ...(account ? { account } : {}) })
    if (!peer) throw new JamiError('ERR_PEER_OFFLINE', `no certificate of device ${device} is known or published`)
    if (!policy.allowsLink(peer)) throw new JamiError('ERR_PEER_REFUSED', `account ${peer.accountId} is not allowed to connect`)
    await this.#holdOff(device, signal)
    const session = new IceSession(this.#env, false)
    const id = beside + 1 + random.below(2 ** 53 - 1 - beside)
    const waiting: Waiting = { device, answer: deferred() }
    let answered = false
    try {
      const description = await session.gather()
      this.#answers.set(id, waiting)
      logger.debug({ device, id }, 'connection request')
      this.#tasks.run('connection request', () => putRequest(this.#env, peer, { id, iceMessage: printIceDescription(description), isAnswer: false, connType }, false, this.#tasks.signal))
      void waiting.answer.promise.then(() => (answered = true), () => (answered = true))
      const remote = await withOp(clock, { signal, timeoutMs: ANSWER_TIMEOUT_MS }, 'connection request', () => waiting.answer.promise).catch((error) => {
        if (JamiError.is(error, 'ERR_TIMEOUT')) throw new JamiError('ERR_PEER_REFUSED', `device ${device} did not answer: it is away, or does not take links from us`, { cause: error })
        throw error
      })
      return await this.#host.connect(session, remote, peer, id, signal)
    } catch (error) {
      if (answered && !signal.aborted) this.#refused(device) // without an answer the attempt took its 30 s
      throw error
    } finally {
      this.#answers.delete(id)
      await session.release()
    }
  }

  #refused(device: DeviceId): void {
    const known = this.#refusals.get(device)
    const failures = (known?.failures ?? 0) + 1
    const waitMs = failures < 2 ? 0 : Math.min(REDIAL_MAX_MS, REDIAL_FIRST_MS * 2 ** (failures - 2))
    this.#refusals.delete(device)
    for (const [oldest] of this.#refusals) {
      if (this.#refusals.size < MAX_COUNTED_DEVICES) break
      this.forgive(oldest)
    }
    this.#refusals.set(device, { failures, notBeforeMs: this.#env.clock.now() + waitMs, forgiven: known?.forgiven ?? new AbortController() })
  }

  /** The time that repeated refusals ask for, unless something gives hope before. */
  async #holdOff(device: DeviceId, signal: AbortSignal): Promise<void> {
    const refusal = this.#refusals.get(device)
    const waitMs = (refusal?.notBeforeMs ?? 0) - this.#env.clock.now()
    if (!refusal || waitMs <= 0) return
    await withSignals([signal, refusal.forgiven.signal], (s) => delay(this.#env.clock, waitMs, s)).catch(() => throwIfAborted(signal))
  }
}
