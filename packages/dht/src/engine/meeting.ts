// Where nodes are: one that answers is where it answers from; one that is known elsewhere moves only when it is no longer there; one
// that others mention is nothing but a hint. No I/O. docs/protocol/01 §2.6, §1.6. Proof: engine/nodes.test.ts.
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { addressKey, hostToBytes, isLoopback, isMartian } from '../wire/address.ts'
import type { Arguments, ReplyMessage } from '../wire/message.ts'
import type { NodeInfo } from '../wire/node-info.ts'
import type { Family } from './family.ts'
import { isGood, type NodeRecord } from './nodes.ts'

/** Nodes that claim another address, being checked. */
const MAX_CLAIMS = 256

export interface MeetingHost {
  readonly nodeId: InfoHash
  family(family: 4 | 6): Family
  firstTid(): number
  ignores(address: SocketAddress): boolean
  /** Pings a node where it was; calls back when it is still there or cannot be asked. */
  ask(node: NodeRecord, now: number, stillThere: () => void): void
}

export class Meeting {
  readonly #host: MeetingHost
  readonly #claims = new Map<NodeRecord, SocketAddress>() // where a node answers from by now; bounded by MAX_CLAIMS

  constructor(host: MeetingHost) {
    this.#host = host
  }

  /** The node of this id, if this is where it is. */
  at(id: InfoHash, from: SocketAddress): NodeRecord | undefined {
    const node = this.#host.family(from.family).table.get(id)
    return node && addressKey(node.address) === addressKey(from) ? node : undefined
  }

  /** A node has answered us from there. Undefined while it is elsewhere as far as we know: then that is asked first. */
  answered(message: ReplyMessage, from: SocketAddress, now: number): NodeRecord | undefined {
    const { table } = this.#host.family(from.family)
    const { id } = message.args
    const known = table.get(id)
    if (!known || addressKey(known.address) === addressKey(from) || !isGood(known, now)) return table.confirm(id, from, now, { client: message.client, tid: this.#host.firstTid() })
    if (this.#claims.has(known) || this.#claims.size >= MAX_CLAIMS) return undefined
    this.#claims.set(known, from)
    this.#host.ask(known, now, () => void this.#claims.delete(known))
    return undefined
  }

  /** What a reply lists. */
  mentioned(args: Arguments, from: SocketAddress, now: number): NodeRecord[] {
    return [...(args.n4 ?? []), ...(args.n6 ?? [])].flatMap((info) => this.#hint(info, from, now) ?? [])
  }

  #hint(info: NodeInfo, from: SocketAddress, now: number): NodeRecord | undefined {
    if (info.id === this.#host.nodeId || /^0+$/.test(info.id)) return undefined
    const bytes = hostToBytes(info.address.host)
    const address = bytes && isLoopback(bytes) && info.address.family === from.family ? { ...info.address, host: from.host } : info.address
    if (isMartian(address) || this.#host.ignores(address)) return undefined
    const f = this.#host.family(address.family)
    return f.enabled ? f.table.mention(info.id, address, now, this.#host.firstTid()) : undefined
  }

  /** A node does not answer where it was. */
  gone(node: NodeRecord, now: number): void {
    const f = this.#host.family(node.family)
    if (f.table.get(node.id) !== node) {
      node.expired = true // of a listener: it has a record of its own
      return
    }
    if (node.repliedMs > Number.NEGATIVE_INFINITY) f.entries.lost(node.address, now)
    f.table.expire(node, now)
    const claim = this.#claims.get(node)
    if (!claim) return
    this.#claims.delete(node)
    f.table.confirm(node.id, claim, now, { client: node.client, tid: 0 }) // it is not where it was, and answered from there
  }
}
