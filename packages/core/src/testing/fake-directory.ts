// Who is announced and connected, without DHT and watches: the DeviceDirectory and Presence contracts in memory, changed by the
// test. Several people of a test may share one. Proof: testing/fake-directory.test.ts with testing/suites/{device-directory,presence}.ts.
import { Source } from '../base/emitter.ts'
import { delay, withOp } from '../base/operation.ts'
import type { DeviceDirectory, Presence, PresenceState } from '../contracts/account.ts'
import type { Clock } from '../contracts/clock.ts'
import type { CertificateStore } from '../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'

/** How devices are found. */
export interface FakeDirectoryOptions {
  /** Whose time look-ups take. */
  clock: Clock
  /** Pins the chains of announced devices; without it every announced device counts. */
  certificates?: CertificateStore
  /** How long looking for devices takes. */
  latencyMs?: number
}

/** Who is announced and connected, set by the test. */
export class FakeDirectory implements DeviceDirectory, Presence {
  readonly #options: FakeDirectoryOptions
  readonly #announced = new Map<AccountUri, Set<DeviceId>>() // bounded by the test
  readonly #channels = new Map<AccountUri, number>() // bounded by the test
  readonly #shown = new Map<AccountUri, PresenceState>() // bounded by the test
  readonly #changed = new Source<{ account: AccountUri; state: PresenceState }>(() => {}) // a listener's error is its own

  constructor(options: FakeDirectoryOptions) {
    this.#options = options
  }

  /** The device is announced. */
  announce(account: AccountUri, device: DeviceId): void {
    this.#announced.set(account, new Set([...(this.#announced.get(account) ?? []), device]))
    this.#show(account)
  }

  /** One device, or all of the account. */
  withdraw(account: AccountUri, device?: DeviceId): void {
    if (device) this.#announced.get(account)?.delete(device)
    else this.#announced.delete(account)
    this.#show(account)
  }

  /** The number of open message channels with an account changed by `by`. */
  countChannel(account: AccountUri, by: 1 | -1): void {
    this.#channels.set(account, Math.max(0, (this.#channels.get(account) ?? 0) + by))
    this.#show(account)
  }

  #show(account: AccountUri): void {
    const connected = (this.#channels.get(account) ?? 0) > 0
    const state: PresenceState = connected ? 'connected' : (this.#announced.get(account)?.size ?? 0) > 0 ? 'available' : 'offline'
    if (state === this.state(account)) return
    this.#shown.set(account, state)
    this.#changed.emit({ account, state })
  }

  state(account: AccountUri): PresenceState {
    return this.#shown.get(account) ?? 'offline'
  }

  get onChange(): Presence['onChange'] {
    return this.#changed.listen
  }

  async *devicesOf(account: AccountUri, op?: Op): AsyncIterable<DeviceId> {
    const { clock, certificates, latencyMs = 50 } = this.#options
    yield* await withOp(clock, op, 'looking for devices', async (signal) => {
      await delay(clock, latencyMs, signal)
      const found: DeviceId[] = []
      for (const device of this.#announced.get(account) ?? []) {
        if (!certificates || (await certificates.find(device, { account, signal }))) found.push(device)
      }
      return found
    })
  }
}
