// What we ask others: numbers, datagrams, and whom we do not listen to any more. No I/O. docs/protocol/01 §2.5, §2.6, §2.7.
// Proof: engine/search.test.ts, engine/engine.test.ts.
import type { InfoHash, Random, SocketAddress } from '@jamikit/core/contracts'
import { addressKey } from '../wire/address.ts'
import { type Arguments, encodeMessage, MAX_TOKEN_BYTES, type RequestName } from '../wire/message.ts'
import type { NodeRecord } from './nodes.ts'
import type { RequestHandlers, Requests } from './requests.ts'

/** Addresses whose datagrams are dropped. */
const MAX_BLACKLIST = 10_000

export class Outgoing {
  readonly #random: Random
  readonly #requests: Requests
  readonly #own: InfoHash
  readonly #network: number
  readonly #enabled: (family: 4 | 6) => boolean
  readonly #blacklist = new Set<string>() // bounded by MAX_BLACKLIST

  constructor(own: InfoHash, network: number, random: Random, requests: Requests, enabled: (family: 4 | 6) => boolean) {
    this.#own = own
    this.#network = network
    this.#random = random
    this.#requests = requests
    this.#enabled = enabled
  }

  firstTid(): number {
    return 1 + this.#random.below(0xfffffffe)
  }

  nextTid(node: NodeRecord): number {
    node.nextTid = node.nextTid >= 0xffffffff ? 1 : node.nextTid + 1
    return node.nextTid
  }

  ignores(from: SocketAddress): boolean {
    return this.#blacklist.has(addressKey(from))
  }

  /** @param giveUp what to do with a node that does not keep to the protocol */
  request(node: NodeRecord, name: RequestName, args: Omit<Arguments, 'id'>, handlers: RequestHandlers, now: number, giveUp: (node: NodeRecord) => void): { cancel(): void } | undefined {
    if (!this.#enabled(node.family)) return undefined
    const tid = this.nextTid(node)
    const datagrams = encodeMessage({ kind: 'request', name, tid, network: this.#network, client: false, args: { id: this.#own, ...args } })
    const tokenless = name === 'get' || name === 'find'
    return this.#requests.start(tid, node, node.address, datagrams, now, {
      ...handlers,
      onReply: (reply, mentioned) => {
        const { token } = reply.args
        if (!tokenless || (token && token.length > 0 && token.length <= MAX_TOKEN_BYTES)) return handlers.onReply(reply, mentioned)
        if (this.#blacklist.size < MAX_BLACKLIST) this.#blacklist.add(addressKey(node.address)) // no honest node answers a search without a token (§2.5)
        giveUp(node)
        handlers.onExpired?.()
      },
    })
  }

  /** Whoever is there. False when it could not be sent. */
  pingAddress(to: SocketAddress, now: number, transmissions: number | undefined, done: () => void): boolean {
    const tid = this.firstTid()
    const datagrams = encodeMessage({ kind: 'request', name: 'ping', tid, network: this.#network, client: false, args: { id: this.#own } })
    return this.#requests.start(tid, undefined, to, datagrams, now, { onReply: done, onExpired: done }, transmissions) !== undefined
  }
}
