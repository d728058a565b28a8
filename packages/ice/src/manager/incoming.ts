// Requests of other devices: heard on our keys, admitted by what the sender is to us, answered or met with silence.
// docs/protocol/02 §1.3, §1.5, §8.6 S2 and S3. Proof: manager/rendezvous.test.ts, manager/admission.test.ts.
import { delay, JamiError, type Tasks } from '@jamikit/core/base'
import type { DeviceId, DhtValue, InfoHash, PeerIdentity } from '@jamikit/core/contracts'
import { deviceIdOf, peerKey, shortIdOf } from '@jamikit/core/identity'
import { LOOKUP_TIMEOUT_MS } from '../defaults.ts'
import { decodePeerRequest, type PeerRequest, USER_TYPE } from '../wire/peer-request.ts'
import { Admission, classOf, type Leave } from './admission.ts'
import { type ManagerEnv, shortPeerKey } from './rendezvous.ts'
import { TreatedIds } from './treated-ids.ts'

const RELISTEN_MS = 2_000

/** A request as it was heard. @see putRequest for `short` */
export interface Heard {
  readonly request: PeerRequest
  readonly short: boolean
}

export interface IncomingHost {
  /** An answer to somebody's request; most are to none of ours. */
  answered(from: DeviceId, request: PeerRequest): void
  /** Negotiates with a device that may connect; its slot is free when this settles. */
  negotiate(peer: PeerIdentity, heard: Heard): Promise<void>
}

export class Incoming {
  readonly #env: ManagerEnv
  readonly #tasks: Tasks
  readonly #host: IncomingHost
  readonly #admission = new Admission()
  readonly #treated: TreatedIds

  constructor(env: ManagerEnv, tasks: Tasks, host: IncomingHost) {
    this.#env = env
    this.#tasks = tasks
    this.#host = host
    this.#treated = new TreatedIds(env.storage, env.prefix, env.clock, env.logger)
  }

  async start(): Promise<void> {
    await this.#treated.load()
    const { deviceId, deviceShortId } = this.#env.identity
    this.#tasks.run('connection requests', (signal) => this.#listen(peerKey(deviceId), false, signal))
    this.#tasks.run('connection requests, old form', (signal) => this.#listen(shortPeerKey(deviceShortId), true, signal))
  }

  /** After the tasks have ended. */
  async stop(): Promise<void> {
    await this.#treated.flush()
  }

  async #listen(key: InfoHash, short: boolean, signal: AbortSignal): Promise<void> {
    const { dht, identity, clock, logger } = this.#env
    while (!signal.aborted) {
      try {
        for await (const { value, expired } of dht.listen(key, { decryptWith: identity.privateKey, userType: USER_TYPE, signal }))
          if (!expired) await this.#hear(value, short)
      } catch (err) {
        if (!signal.aborted) logger.debug({ err }, 'listening for requests again')
      }
      await delay(clock, RELISTEN_MS, signal).catch(() => {})
    }
  }

  async #hear({ signer, encrypted, data }: DhtValue, short: boolean): Promise<void> {
    if (!signer || !encrypted) return
    let request: PeerRequest
    try {
      request = decodePeerRequest(data)
    } catch (err) {
      return this.#env.logger.debug({ err }, 'a connection request was refused')
    }
    const from = deviceIdOf(signer)
    if (request.isAnswer) return this.#host.answered(from, request)
    if (from === this.#env.identity.deviceId || !this.#treated.begin(request.id)) return
    try {
      const known = await this.#env.certificates.get(from)
      if (known) this.#admit(known, { request, short })
      else this.#lookUp(from, shortIdOf(signer), { request, short })
    } catch (err) {
      this.#treated.release(request.id)
      this.#env.logger.warn({ from, err: JamiError.from(err) }, 'a connection request could not be looked at')
    }
  }

  /** Somebody whose certificate is not here: looked for with room and time of its own, apart from what known devices have. */
  #lookUp(from: DeviceId, shortId: InfoHash, heard: Heard): void {
    const { certificates, clock, logger } = this.#env
    const { id } = heard.request
    const leave = this.#admission.look(clock.now())
    if (!leave) return this.#noRoom(from, id)
    this.#tasks.run(`look-up of ${from}`, async (signal) => {
      let peer: PeerIdentity | undefined
      try {
        peer = await certificates.find(from, { shortId, signal, timeoutMs: LOOKUP_TIMEOUT_MS })
      } catch (err) {
        logger.debug({ from, err }, 'the certificate of a device that asked could not be looked for')
      } finally {
        leave()
      }
      if (peer) this.#admit(peer, heard)
      else this.#refuse(from, id)
    })
  }

  /** Whoever may not connect hears nothing. */
  #admit(peer: PeerIdentity, heard: Heard): void {
    const { policy, clock } = this.#env
    const { id } = heard.request
    if (!policy.allowsLink(peer)) return this.#refuse(peer.deviceId, id)
    const leave = this.#admission.enter(peer, classOf(policy, peer), clock.now())
    if (!leave) return this.#noRoom(peer.deviceId, id)
    this.#treated.keep(id)
    this.#tasks.run(`request of ${peer.deviceId}`, () => this.#negotiate(peer, heard, leave))
  }

  async #negotiate(peer: PeerIdentity, heard: Heard, leave: Leave): Promise<void> {
    try {
      await this.#host.negotiate(peer, heard)
    } finally {
      leave()
    }
  }

  #refuse(from: DeviceId, id: number): void {
    this.#treated.refuse(id)
    this.#env.logger.debug({ from }, 'a connection request was not answered')
  }

  #noRoom(from: DeviceId, id: number): void {
    this.#treated.release(id)
    this.#env.logger.debug({ from }, 'a connection request found no room')
  }
}
