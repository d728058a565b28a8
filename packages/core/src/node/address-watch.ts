// Nothing tells a program that its network changed: the addresses of this machine are compared now and then.
// Proof: node/address-watch.test.ts.
import type { Clock, Timer } from '../contracts/clock.ts'
import type { Network } from '../contracts/socket.ts'

const WATCH_MS = 10_000

export class AddressWatch {
  readonly #clock: Clock
  readonly #network: Network
  readonly #onChange: () => void
  #addresses: string
  #timer: Timer

  constructor(env: { clock: Clock; network: Network }, onChange: () => void) {
    this.#clock = env.clock
    this.#network = env.network
    this.#onChange = onChange
    this.#addresses = this.#now()
    this.#timer = this.#again()
  }

  stop(): void {
    this.#timer.cancel()
  }

  #now(): string {
    return this.#network.addresses().map((a) => a.host).sort().join(' ')
  }

  #again(): Timer {
    return this.#clock.after(WATCH_MS, () => {
      const now = this.#now()
      this.#timer = this.#again()
      if (now === this.#addresses) return
      this.#addresses = now
      this.#onChange()
    })
  }
}
