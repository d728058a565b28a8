// UDP between simulated hosts: loss, duplication, reordering, delay. Proof: testing/sim-network.test.ts.
import type { DatagramSocket, SocketAddress } from '../contracts/socket.ts'
import { type SimWire, familyOf } from './sim-wire.ts'

/** What a socket needs of its host. */
export interface DatagramPlace {
  readonly name: string
  /** Own address towards a destination, undefined when there is none of its family. */
  sourceFor(to: string): string | undefined
  /** Who gets a datagram for this address of `host`. */
  receiver(host: string, to: SocketAddress): SimDatagramSocket | undefined
  release(socket: SimDatagramSocket): void
}

const MAX_PAYLOAD_BYTES = 65_507

export class SimDatagramSocket implements DatagramSocket {
  readonly local: SocketAddress
  onDatagram: (bytes: Uint8Array, from: SocketAddress) => void = () => {}
  readonly #wire: SimWire
  readonly #place: DatagramPlace
  readonly #lastDue = new Map<string, number>() // by host; bounded by the test's hosts
  #closed = false

  constructor(wire: SimWire, place: DatagramPlace, local: SocketAddress) {
    this.#wire = wire
    this.#place = place
    this.local = local
  }

  send(bytes: Uint8Array, to: SocketAddress): void {
    if (this.#closed || familyOf(to.host) !== this.local.family || !(to.port > 0 && to.port < 65_536) || bytes.length > MAX_PAYLOAD_BYTES) return
    const wire = this.#wire
    const own = this.#place.sourceFor(to.host)
    const target = wire.hostOf(to.host, this.#place.name)
    if (own === undefined || target === undefined) return
    const from: SocketAddress = { host: own, port: this.local.port, family: this.local.family }
    const here = this.#place.name
    const link = wire.link(here, target)
    const lost = wire.isCut(here, target) ? 'udp-cut' : bytes.length > link.maxDatagramBytes ? 'udp-too-big' : link.lossRate > 0 && wire.random.chance(link.lossRate) ? 'udp-lost' : undefined
    wire.packet(lost ?? 'udp', from, to, bytes)
    if (lost) return
    const copy = bytes.slice()
    const address = { ...to, family: this.local.family }
    const copies = link.duplicateRate > 0 && wire.random.chance(link.duplicateRate) ? 2 : 1
    for (let i = 0; i < copies; i++) {
      const due = this.#due(target, link.reorderRate, link.latencyMs)
      wire.clock.after(due - wire.clock.now(), () => {
        const receiver = wire.isCut(here, target) ? undefined : this.#place.receiver(target, address)
        wire.packet(receiver ? 'udp-in' : 'udp-void', from, address, copy)
        receiver?.onDatagram(copy, from)
      })
    }
  }

  #due(target: string, reorderRate: number, latencyMs: number): number {
    const wire = this.#wire
    const due = wire.clock.now() + wire.delay(this.#place.name, target)
    if (reorderRate > 0 && wire.random.chance(reorderRate)) return due + wire.random.below(2 * Math.ceil(latencyMs) + 1)
    const kept = Math.max(due, this.#lastDue.get(target) ?? 0)
    this.#lastDue.set(target, kept)
    return kept
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#place.release(this)
  }
}
