// Keeps a family in the network: asks for ids in buckets where little was heard and for our own neighbourhood, pings what that brings,
// and looks for ways back. No I/O. docs/protocol/01 §3.3, §6.4.1. Proof: engine/split.test.ts, engine/engine.test.ts.
import { fromHex, toHex } from '@jamikit/core/codec'
import type { InfoHash, Random, SocketAddress } from '@jamikit/core/contracts'
import type { RequestName, Arguments } from '../wire/message.ts'
import type { Family } from './family.ts'
import { isGood, type NodeRecord, type NodeTable } from './nodes.ts'
import type { RequestHandlers } from './requests.ts'

const STALE_MS = 600_000

/** Nodes of one list that are pinged for the buckets. */
const PINGS_PER_LIST = 16

export interface UpkeepHost {
  readonly nodeId: InfoHash
  readonly random: Random
  families(): Record<4 | 6, Family>
  request(node: NodeRecord, name: RequestName, args: Omit<Arguments, 'id'>, handlers: RequestHandlers, now: number): { cancel(): void } | undefined
  pingAddress(to: SocketAddress, now: number, done: () => void): boolean
  pendingTo(node: NodeRecord): number
  now(): number
  onBootstrap(): void
}

export class Upkeep {
  readonly #host: UpkeepHost

  constructor(host: UpkeepHost) {
    this.#host = host
  }

  /** When ways into the network are to be tried next. */
  nextEntryMs(f: Family, now: number): number {
    const { 4: four, 6: six } = this.#host.families()
    return f.entries.nextMs(f.reach(now), (f === four ? six : four).status === 'connected')
  }

  tick(f: Family, now: number): void {
    if (f.nextMaintenanceMs <= now) this.#maintain(f, now)
    if (this.nextEntryMs(f, now) <= now) this.#enter(f, now)
  }

  #enter(f: Family, now: number): void {
    if (f.entries.hasBootstrap) this.#host.onBootstrap()
    for (const address of f.entries.take(now, f.reach(now))) {
      f.pending++
      const done = () => void f.pending--
      if (!this.#host.pingAddress(address, now, done)) done()
    }
  }

  #maintain(f: Family, now: number): void {
    const { 4: four, 6: six } = this.#host.families()
    f.nextMaintenanceMs = now + maintain(f.table, this.#host.nodeId, this.#host.random, now, (node, target) => {
      if (this.#host.pendingTo(node) > 0) return false
      const handlers = { onReply: (_: unknown, mentioned: readonly NodeRecord[]) => this.#pingWanted(mentioned) }
      return this.#host.request(node, 'find', { target, ...(four.enabled && six.enabled ? { want: [4, 6] as const } : {}) }, handlers, now) !== undefined
    })
  }

  /** Nodes count once they have replied. */
  #pingWanted(mentioned: readonly NodeRecord[]): void {
    const now = this.#host.now()
    const wanted = mentioned.filter((n) => !n.expired && !isGood(n, now) && this.#host.pendingTo(n) === 0 && this.#host.families()[n.family].table.wants(n.idBytes, now))
    for (const node of wanted.slice(0, PINGS_PER_LIST)) this.#host.request(node, 'ping', {}, { onReply: () => {} }, now)
  }
}

/** What to ask whom now. `find` gives false when nothing was sent. @returns when to come back, ms from now */
function maintain(table: NodeTable, nodeId: InfoHash, random: Random, now: number, find: (node: NodeRecord, target: InfoHash) => boolean): number {
  let sent = false
  const own = fromHex(nodeId)
  const alive = table.inTable().filter((n) => !n.expired)
  const ask = (target: Uint8Array, among: readonly NodeRecord[]) => {
    const node = among[among.length > 0 ? random.below(among.length) : 0]
    if (node && find(node, toHex(target) as InfoHash)) sent = true
  }
  const deepest = table.depth()
  for (let bits = 0; bits <= Math.min(deepest + 1, 159); bits++) {
    const bucket = table.bucket(bits).filter((n) => !n.expired)
    if (bucket.some((n) => now - n.repliedMs < STALE_MS) || (bits > deepest && alive.length > 0)) continue
    ask(randomBelow(own, bits, random), bucket.length > 0 ? bucket : alive)
  }
  const near = own.slice()
  near[19] = random.below(256)
  if (!sent) ask(near, alive)
  return sent ? 5000 + random.below(20_000) : 60_000 + random.below(120_000)
}

/** A random id that shares exactly `bits` leading bits with `own`. */
function randomBelow(own: Uint8Array, bits: number, random: Random): Uint8Array {
  const out = random.bytes(20)
  const whole = bits >> 3
  out.set(own.subarray(0, whole))
  if (whole < 20) {
    const keep = 0xff00 >> (bits & 7)
    const flip = 0x80 >> (bits & 7)
    out[whole] = ((own[whole] as number) & keep & 0xff) | (~(own[whole] as number) & flip) | ((out[whole] as number) & (flip - 1))
  }
  return out
}
