// Makes this device findable: its certificate chain at both keys and its announcement at the account's key, permanent, retried.
// docs/protocol/03 §2.4, §2.5, §2.6.2. Proof: account/presence.test.ts, interop/scenarios.
import { Source } from '../base/emitter.ts'
import { JamiError } from '../base/errors.ts'
import { delay } from '../base/operation.ts'
import { Tasks } from '../base/tasks.ts'
import { utf8 } from '../codec/bytes.ts'
import { encodeMsgpack } from '../codec/msgpack.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Dht, DhtPackedPut, DhtPut, DhtPutResult } from '../contracts/dht.ts'
import type { DeviceIdentity } from '../contracts/identity.ts'
import type { InfoHash } from '../contracts/ids.ts'
import type { Logger } from '../contracts/logger.ts'
import type { Service } from '../contracts/service.ts'
import { chainToPem } from '../identity/certificate.ts'
import { certificateKey } from '../identity/ids.ts'
import { CERTIFICATE_TYPE } from './certificate-directory.ts'

const RETRY_FIRST_MS = 500
const RETRY_MAX_MS = 60_000

export interface DeviceAnnouncerEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly dht: Dht
  readonly identity: DeviceIdentity
  /** Packed signed value from the receipt. */
  readonly announcement: Uint8Array
}

export class DeviceAnnouncer implements Service {
  readonly #env: DeviceAnnouncerEnv
  readonly #tasks: Tasks
  readonly #changed: Source<boolean>
  readonly #puts: DhtPutResult[] = [] // three at most
  #announced = false
  #started = false

  constructor(env: DeviceAnnouncerEnv) {
    this.#env = env
    this.#tasks = new Tasks(env.clock, (err, what) => env.logger.error({ err, what }, 'announcing failed'))
    this.#changed = new Source((err) => env.logger.error({ err }, 'a listener threw'))
  }

  /** True once the announcement is on the DHT, and while the DHT is connected. */
  get announced(): boolean {
    return this.#announced
  }

  get onChange() {
    return this.#changed.listen
  }

  async start(): Promise<void> {
    if (this.#started) return
    this.#started = true
    const { identity, dht } = this.#env
    const data = encodeMsgpack(utf8(chainToPem(identity.chain)))
    const certificate: DhtPut = { data, type: CERTIFICATE_TYPE, id: 1n }
    this.#tasks.run('certificate', (signal) => this.#publish(certificateKey(identity.deviceId), certificate, signal))
    this.#tasks.run('certificate at the short id', (signal) => this.#publish(identity.deviceShortId, certificate, signal))
    this.#tasks.run('announcement', async (signal) => {
      await this.#publish(identity.accountId as string as InfoHash, { packed: this.#env.announcement }, signal)
      this.#set(true)
    })
    const off = dht.onStatus(({ ipv4, ipv6 }) => {
      if (this.#puts.length < 3) return
      this.#set(ipv4 === 'connected' || ipv6 === 'connected')
    })
    this.#tasks.signal.addEventListener('abort', off, { once: true })
  }

  async stop(): Promise<void> {
    await this.#tasks.close()
    for (const put of this.#puts) put.cancel()
    this.#announced = false
  }

  #set(announced: boolean): void {
    if (this.#announced === announced) return
    this.#announced = announced
    this.#changed.emit(announced)
  }

  async #publish(key: InfoHash, value: DhtPut | DhtPackedPut, signal: AbortSignal): Promise<void> {
    for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      try {
        this.#puts.push(await this.#env.dht.put(key, value, { permanent: true, signal }))
        return
      } catch (error) {
        if (signal.aborted) throw error
        this.#env.logger.debug({ key, err: JamiError.from(error), waitMs }, 'not announced yet')
        await delay(this.#env.clock, waitMs, signal)
      }
    }
  }
}
