// Which devices of an account are announced on the DHT: one-off look-ups (DeviceDirectory) and lasting watches (Presence).
// An announcement counts only when the account itself signed it.
// docs/protocol/03 §5.4 (forEachDevice), §8. Proof: account/presence.test.ts.
import { Source } from '../base/emitter.ts'
import { JamiError } from '../base/errors.ts'
import { abandonable, delay, withOp } from '../base/operation.ts'
import { AsyncQueue } from '../base/queue.ts'
import { LinkedSignal } from '../base/signals.ts'
import { Tasks } from '../base/tasks.ts'
import type { DeviceDirectory, Presence, PresenceState } from '../contracts/account.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Dht, DhtValue } from '../contracts/dht.ts'
import type { AccountUri, DeviceId, InfoHash } from '../contracts/ids.ts'
import type { Logger } from '../contracts/logger.ts'
import type { Op } from '../contracts/service.ts'
import { type DeviceAnnouncement, parseAnnouncementData } from '../identity/announcement.ts'
import { accountUriOf } from '../identity/ids.ts'
import type { CertificateDirectory } from './certificate-directory.ts'
import { RevocationIntake } from './revocation-intake.ts'

/** Devices of one account we look at. */
export const MAX_DEVICES = 64
const MAX_WATCHED = 10_000
const MAX_VALUES_PER_ACCOUNT = 1024
const RELISTEN_MS = 5_000

export interface PresenceEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly dht: Dht
  readonly certificates: CertificateDirectory
  readonly ownDevice: DeviceId
}

interface Watch {
  readonly stop: AbortController
  /** Live announcement values by id. */
  readonly values: Map<bigint, DeviceId>
  readonly lists: RevocationIntake
  /** Open message channels with the account. */
  channels: number
  shown: PresenceState
}

export class PresenceTracker implements Presence, DeviceDirectory {
  readonly #env: PresenceEnv
  readonly #tasks: Tasks
  readonly #changed: Source<{ account: AccountUri; state: PresenceState }>
  readonly #appeared: Source<{ account: AccountUri; device: DeviceId }>
  readonly #revoked: Source<DeviceId>
  readonly #watches = new Map<AccountUri, Watch>() // bounded by MAX_WATCHED

  constructor(env: PresenceEnv) {
    this.#env = env
    this.#tasks = new Tasks(env.clock, (err, what) => env.logger.error({ err, what }, 'presence failed'))
    const onError = (err: unknown) => env.logger.error({ err }, 'a listener threw')
    this.#changed = new Source(onError)
    this.#appeared = new Source(onError)
    this.#revoked = new Source(onError)
  }

  get onChange() {
    return this.#changed.listen
  }

  /** A device of a watched account is announced (again). */
  get onDevice() {
    return this.#appeared.listen
  }

  /** A device we knew was revoked by its account. */
  get onRevoked() {
    return this.#revoked.listen
  }

  state(account: AccountUri): PresenceState {
    return this.#watches.get(account)?.shown ?? 'offline'
  }

  /** Announced devices of a watched account, as known now. */
  announcedDevices(account: AccountUri): DeviceId[] {
    return [...new Set(this.#watches.get(account)?.values.values() ?? [])]
  }

  /** Follows an account until `unwatch` or `close`. Idempotent. */
  watch(account: AccountUri): void {
    if (this.#watches.has(account) || this.#watches.size >= MAX_WATCHED) return
    const watch: Watch = { stop: new AbortController(), values: new Map(), lists: this.#intake(account), channels: 0, shown: 'offline' }
    this.#watches.set(account, watch)
    this.#tasks.run(`presence of ${account}`, async (closed) => {
      const linked = new LinkedSignal(closed, watch.stop.signal)
      const { signal } = linked
      while (!signal.aborted) {
        try {
          for await (const { value, expired } of this.#env.dht.listen(account as string as InfoHash, { type: 0, signal })) this.#value(account, watch, value, expired)
        } catch (error) {
          if (!signal.aborted) this.#env.logger.debug({ account, err: JamiError.from(error) }, 'listening again')
        }
        if (!signal.aborted) await delay(this.#env.clock, RELISTEN_MS, signal).catch(() => {})
      }
      linked.release()
    })
  }

  unwatch(account: AccountUri): void {
    const watch = this.#watches.get(account)
    if (!watch) return
    this.#watches.delete(account)
    watch.stop.abort()
  }

  /** The number of open message channels with an account changed by `by`. */
  countChannel(account: AccountUri, by: 1 | -1): void {
    const watch = this.#watches.get(account)
    if (!watch) return
    watch.channels = Math.max(0, watch.channels + by)
    this.#show(account, watch)
  }

  #value(account: AccountUri, watch: Watch, value: DhtValue, expired: boolean): void {
    if (!value.signer && !expired) return watch.lists.offer(value.data)
    const said = this.#announcement(account, value)
    if (!said?.device) return
    const { deviceId } = said.device
    if (expired && watch.values.get(value.id) !== deviceId) return // another value under the same id
    if (expired) watch.values.delete(value.id)
    else if (watch.values.size < MAX_VALUES_PER_ACCOUNT) watch.values.set(value.id, deviceId)
    this.#show(account, watch)
    if (expired) return
    if (deviceId !== this.#env.ownDevice) this.#appeared.emit({ account, device: deviceId })
    watch.lists.seen(deviceId, said.deviceShortId)
  }

  #show(account: AccountUri, watch: Watch): void {
    const state: PresenceState = watch.channels > 0 ? 'connected' : watch.values.size > 0 ? 'available' : 'offline'
    if (state === watch.shown) return
    watch.shown = state
    this.#changed.emit({ account, state })
  }

  /** What a value at an account's key announces; undefined for anything that is no announcement signed by the account. */
  #announcement(account: AccountUri, value: DhtValue): DeviceAnnouncement | undefined {
    if (!value.signer || accountUriOf(value.signer) !== account) return undefined
    try {
      return parseAnnouncementData(value.data)
    } catch (error) {
      this.#env.logger.debug({ account, err: error }, 'an announcement was refused')
      return undefined
    }
  }

  async *devicesOf(account: AccountUri, op?: Op): AsyncIterable<DeviceId> {
    const { certificates, clock, dht } = this.#env
    const found = new AsyncQueue<DeviceId>(MAX_DEVICES + 1)
    const seen = new Set<DeviceId>() // bounded by MAX_DEVICES
    const search = withOp(clock, op, 'looking for devices', async (signal) => {
      const lists = this.#intake(account)
      const pinned: Promise<void>[] = []
      let told = 0
      for await (const value of dht.get(account as string as InfoHash, { type: 0, signal })) {
        if (!value.signer) lists.offer(value.data)
        const said = this.#announcement(account, value)
        const device = said?.device?.deviceId
        if (!said || !device || seen.has(device) || seen.size >= MAX_DEVICES) continue
        seen.add(device)
        pinned.push(
          abandonable((async () => { // nobody waits for it when the search ends before
            const peer = await certificates.find(device, { account, shortId: said.deviceShortId, signal })
            if (!peer) return
            await lists.know(peer.chain[1], signal)
            if (await certificates.get(device, account) && found.push(device)) told++
          })()),
        )
      }
      const [failed] = (await Promise.allSettled(pinned)).filter((result) => result.status === 'rejected') // one that fails costs itself
      if (failed && told === 0) throw failed.reason
    })
    search.then(() => found.end(), (error) => found.fail(error))
    yield* found
  }

  /** Takes revocation lists of an account: kept until its certificate is known, then verified. */
  #intake(account: AccountUri): RevocationIntake {
    return new RevocationIntake(account, {
      clock: this.#env.clock,
      certificates: this.#env.certificates,
      onRevoked: (device) => this.#revoked.emit(device),
      onRefused: (err) => this.#env.logger.debug({ account, err }, 'a revocation list was refused'),
      unsigned: (signal) => this.#unsigned(account, signal),
      run: (work) => this.#tasks.run(`revocations of ${account}`, work),
    })
  }

  async *#unsigned(account: AccountUri, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
    for await (const value of this.#env.dht.get(account as string as InfoHash, { type: 0, ...(signal ? { signal } : {}) })) if (!value.signer) yield value.data
  }

  async close(): Promise<void> {
    for (const account of [...this.#watches.keys()]) this.unwatch(account)
    await this.#tasks.close()
  }
}
