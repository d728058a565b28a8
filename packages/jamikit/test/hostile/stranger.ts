// A stranger: sockets on many addresses of this machine (127.x.y.z), tokens where they are asked for, and everything else made by hand.
import { createSocket, type Socket } from 'node:dgram'
import { silentLogger } from '@jamikit/core/base'
import type { Crypto, DhtPut, InfoHash, Network } from '@jamikit/core/contracts'
import { nodeCrypto } from '@jamikit/core/crypto'
import { infoHashOf } from '@jamikit/core/identity'
import { SeededRandom } from '@jamikit/core/testing'
import { dht } from '@jamikit/dht'
import { nodeNetwork, nodeRandom, systemClock } from '../../../core/src/io/index.ts'
import { type Arguments, decodeMessage, type DhtMessage, encodeMessage, type RequestName } from '../../../dht/src/wire/message.ts'
import type { Value, ValueBody } from '../../../dht/src/wire/value.ts'
import { type Arena, wait } from './arena.ts'

/** One address with a socket. It answers nothing, so that it never counts as a node, unless it is told to. */
export class Source {
  readonly #socket: Socket
  readonly #to: number
  readonly #waiting = new Map<number, (message: DhtMessage) => void>()
  readonly id: InfoHash
  received = 0
  receivedBytes = 0
  #tid = 1
  #token: Uint8Array | undefined
  answering = false

  private constructor(socket: Socket, to: number, id: InfoHash) {
    this.#socket = socket
    this.#to = to
    this.id = id
    socket.on('error', () => {})
    socket.on('message', (bytes, from) => {
      this.received++
      this.receivedBytes += bytes.length
      let message: DhtMessage
      try {
        message = decodeMessage(bytes)
      } catch {
        return
      }
      if (message.kind === 'request' && this.answering) {
        const reply = encodeMessage({ kind: 'reply', tid: message.tid, network: 0, client: false, args: { id: this.id, sa: Uint8Array.of(127, 0, 0, 1), token: Uint8Array.of(1, 2, 3, 4) } })
        for (const datagram of reply) socket.send(datagram, from.port, from.address)
      } else this.#waiting.get(message.tid)?.(message)
    })
  }

  static async open(host: string, to: number, id: InfoHash): Promise<Source> {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind(0, host, () => resolve())
    })
    return new Source(socket, to, id)
  }

  datagrams(name: RequestName, args: Partial<Arguments>): { tid: number; datagrams: Uint8Array[] } {
    const tid = this.#tid++
    return { tid, datagrams: encodeMessage({ kind: 'request', name, tid, network: 0, client: false, args: { id: this.id, ...args } }) }
  }

  /** Into the dark. */
  send(name: RequestName, args: Partial<Arguments>): void {
    for (const datagram of this.datagrams(name, args).datagrams) this.#socket.send(datagram, this.#to, '127.0.0.1')
  }

  /** As they are. */
  throw(datagrams: readonly Uint8Array[]): void {
    for (const datagram of datagrams) this.#socket.send(datagram, this.#to, '127.0.0.1')
  }

  async ask(name: RequestName, args: Partial<Arguments>, limitMs = 1000): Promise<DhtMessage | undefined> {
    const { tid, datagrams } = this.datagrams(name, args)
    const answered = new Promise<DhtMessage>((resolve) => this.#waiting.set(tid, resolve))
    for (const datagram of datagrams) this.#socket.send(datagram, this.#to, '127.0.0.1')
    const answer = await Promise.race([answered, wait(limitMs).then(() => undefined)])
    this.#waiting.delete(tid)
    return answer
  }

  /** A token for puts and listens. */
  async token(): Promise<Uint8Array> {
    for (let i = 0; i < 5 && !this.#token; i++) {
      const answer = await this.ask('find', { target: this.id })
      if (answer?.kind === 'reply') this.#token = answer.args.token
    }
    return this.#token ?? new Uint8Array(0)
  }

  async put(key: InfoHash, values: readonly Value[]): Promise<void> {
    this.send('put', { h: key, values, token: await this.token() })
  }

  close(): void {
    this.#socket.close()
  }
}

export const clear = (id: bigint, data: Uint8Array, body: Partial<ValueBody> = {}): Value => ({
  id, priority: 0, pushType: '', cypher: undefined, body: { type: 0, data, userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined, ...body },
})
export const sealed = (id: bigint, cypher: Uint8Array): Value => ({ id, priority: 0, pushType: '', cypher, body: undefined })

export class Stranger {
  readonly arena: Arena
  readonly random = new SeededRandom('stranger')
  readonly #sources: Source[] = []
  /** A real node of the DHT besides. */
  readonly dht
  readonly crypto: Crypto = nodeCrypto()
  readonly clock = systemClock()

  private constructor(arena: Arena) {
    this.arena = arena
    const network: Network = { ...nodeNetwork(), addresses: () => [{ host: '127.0.0.1', family: 4 }] }
    this.dht = dht()({ clock: this.clock, random: nodeRandom(), crypto: this.crypto, network, logger: silentLogger, bootstrap: [arena.hub], port: 0 })
  }

  static async join(arena: Arena): Promise<Stranger> {
    const stranger = new Stranger(arena)
    await stranger.dht.start()
    await wait(1000)
    return stranger
  }

  randomKey(): InfoHash {
    return infoHashOf(this.random.bytes(20))
  }

  /** `count` addresses, in networks of their own unless they are asked for in one. */
  async sources(count: number, oneNetwork = false): Promise<Source[]> {
    const out: Source[] = []
    for (let i = 0; i < count; i++) {
      const n = this.#sources.length + 1
      const host = oneNetwork ? `127.200.0.${1 + (i % 250)}` : `127.${1 + (n % 100)}.${1 + (Math.floor(n / 100) % 250)}.7`
      const source = await Source.open(host, this.arena.victimPort, this.randomKey())
      this.#sources.push(source)
      out.push(source)
    }
    return out
  }

  put(key: InfoHash, value: DhtPut): Promise<unknown> {
    return this.dht.put(key, value).then(({ cancel }) => cancel(), () => {})
  }

  async close(): Promise<void> {
    for (const source of this.#sources) source.close()
    await this.dht.stop()
  }
}

/** So many a second, for so long. */
export async function rate(perSecond: number, seconds: number, one: (i: number) => unknown): Promise<void> {
  const begun = performance.now()
  for (let i = 0; i < perSecond * seconds; ) {
    const due = Math.min(perSecond * seconds, ((performance.now() - begun) / 1000) * perSecond)
    while (i < due) one(i++)
    await wait(5)
  }
}
