// A contact that turns hostile: a real node whose parts are in our hands, a git server that sends what it is told, and bare links below its
// multiplexer. It is a contact in good standing: every conversation it brings is one that the attacked node takes.
import type { TLSSocket } from 'node:tls'
import { silentLogger } from '@jamikit/core/base'
import { concatBytes } from '@jamikit/core/codec'
import type { BaseEnv, Channel, ConnectionManager, ConversationId, ConversationsModule, Crypto, DeviceId, DeviceIdentity, Dht, Network } from '@jamikit/core/contracts'
import { nodeCrypto } from '@jamikit/core/crypto'
import { spareKey } from '@jamikit/core/testing'
import { dht } from '@jamikit/dht'
import { ice } from '@jamikit/ice'
import { swarm } from '@jamikit/swarm'
import { createJamiNode, isolated, type JamiNode } from 'jamikit'
import { nodeNetwork, nodeRandom, systemClock } from '../../../core/src/io/index.ts'
import type { FramedConnection } from '../../../ice/src/link/framed-connection.ts'
import { RawPeer } from '../../../ice/test/raw-peer.ts'
import { MIME, printCommitNotice, printInvitation } from '../../../swarm/src/conversation/small-payloads.ts'
import type { Oid } from '../../../swarm/src/repo/object.ts'
import { fetchFrom } from '../../../swarm/src/sync/fetch.ts'
import { GitStream } from '../../../swarm/src/sync/git-stream.ts'
import { CLONE_LIMITS } from '../../../swarm/src/sync/pack-reader.ts'
import { FLUSH, pkt, pktText } from '../../../swarm/src/sync/pkt-line.ts'
import { memoryFiles } from '../../../swarm/test/memory.ts'
import { encodePack } from '../../../swarm/test/packs.ts'
import { START_S, Story } from '../../../swarm/test/story.ts'
import { type Arena, FULL, until, wait } from './arena.ts'

type ConversationsEnv = Parameters<ConversationsModule>[0]

/** What the git server gives for a conversation. */
export interface Served {
  head: Oid
  /** Everything after the NAK; of what is fed once, the channel is ended after it. */
  send: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>
}

const never = new AbortController().signal

export class HostileContact {
  readonly arena: Arena
  readonly node: JamiNode
  readonly env: ConversationsEnv
  readonly dht: Dht
  readonly base: BaseEnv
  readonly #connections: ConnectionManager
  readonly #served = new Map<string, Served>()
  /** Announcements that had no channel. */
  unsaid = 0
  /** Packs asked for, by head. */
  readonly asked = new Map<Oid, number>()
  readonly #raw: RawPeer[] = []
  victimDevice = '' as DeviceId
  #stories = 0
  /** A long one that the node has. */
  history: (Story & { id: Oid }) | undefined

  private constructor(arena: Arena, node: JamiNode, base: BaseEnv, parts: { env: ConversationsEnv; dht: Dht; connections: ConnectionManager }) {
    this.arena = arena
    this.node = node
    this.base = base
    this.env = parts.env
    this.dht = parts.dht
    this.#connections = parts.connections
  }

  static async join(arena: Arena): Promise<HostileContact> {
    let nextKey = arena.hostileKey
    const network: Network = { ...nodeNetwork(), addresses: () => [{ host: '127.0.0.1', family: 4 }] }
    const crypto: Crypto = { ...nodeCrypto(), generateKey: async () => spareKey(nextKey++) }
    const base: BaseEnv = { clock: systemClock(), random: nodeRandom(), crypto, network, logger: silentLogger }
    const parts: { env?: ConversationsEnv; dht?: Dht; connections?: ConnectionManager } = {}
    let self: HostileContact | undefined
    const { logger: _, ...runtime } = base
    const node = await createJamiNode({
      network: isolated(arena.hub), runtime,
      modules: {
        dht: (env) => {
          parts.dht = dht()(env)
          return parts.dht
        },
        connections: (env) => {
          const manager = ice()(env)
          const handle = manager.handle.bind(manager)
          const taken = (name: string) => (self?.serves(name.slice(-40)) ? self : undefined)
          manager.handle = (scheme, handler) => handle(scheme, scheme !== 'git' ? handler : {
            ...handler, accept: (name, peer) => taken(name) !== undefined || handler.accept(name, peer),
            open: (channel) => {
              const by = taken(channel.name)
              if (by) void by.#serve(channel).catch(() => channel.abort())
              else handler.open(channel)
            },
          })
          parts.connections = manager
          return manager
        },
        conversations: (env) => {
          const handle = env.messages.handle.bind(env.messages)
          // what the node says of the conversations below is not for its swarm
          env.messages.handle = (mime, fn) => handle(mime, (message) => (self ? undefined : fn(message)))
          parts.env = env
          return swarm()(env)
        },
      },
    })
    const account = await node.accounts.open('hostile', { displayName: 'Mallory' })
    await account.ready({ timeoutMs: 30_000 })
    const { env, dht: own, connections } = parts
    if (!env || !own || !connections) throw new Error('the node was not assembled')
    await arena.victim.ask('accept', { uri: account.uri })
    const conversation = await account.contacts.add(arena.victimUri)
    await until('the node joins the conversation of the hostile contact', () => conversation.members.some(({ uri, role }) => uri === arena.victimUri && role === 'member'))
    await until('a message channel', () => env.messages.connectedDevices(account.contacts.get(arena.victimUri).uri).length > 0)
    self = new HostileContact(arena, node, base, { env, dht: own, connections })
    self.victimDevice = env.messages.connectedDevices(account.contacts.get(arena.victimUri).uri)[0] as DeviceId
    return self
  }

  get identity() {
    return this.env.identity
  }

  get connections(): ConnectionManager {
    return this.#connections
  }

  /** A small message to the node. */
  tell(mime: string, body: string): Promise<boolean> {
    return this.env.messages.send(this.victimDevice, { mime, body }, { connectedOnly: true })
  }

  // ---------------------------------------------------------------- conversations

  /** A conversation of the two that the node has joined; the story knows everything of it. */
  async conversation(): Promise<Story & { id: Oid }> {
    const story = await Story.oneToOne(this.identity, { ...this.identity, accountId: this.arena.victimUri as never }, START_S + 1000 * ++this.#stories)
    const { id } = story
    this.serve(id, story.head, encodePack([...story.objects.values()]))
    await this.tell(MIME.invitation, printInvitation(id as ConversationId, 0, Date.now()))
    await until('the node joins a conversation', async () => {
      try {
        return (await this.pull(story)) !== id
      } catch {
        return false
      }
    })
    return story
  }

  /** What the node has of a conversation comes into the story. */
  async pull(story: Story): Promise<Oid> {
    const channel = await this.#connections.openChannel(this.victimDevice, `git://${this.victimDevice}/${story.id}`, { timeoutMs: 5000 })
    try {
      const { head, pack } = await fetchFrom(new GitStream(channel, this.base.clock), {
        conversation: story.id as ConversationId, server: this.victimDevice, haves: [], has: (oid) => oid === story.head, scratch: { files: memoryFiles().files('scratch'), path: 'pack' }, signal: never, limits: CLONE_LIMITS,
      })
      for (const { oid } of pack?.entries() ?? []) {
        const object = await pack?.read(oid)
        if (object) story.objects.set(oid, object)
      }
      story.head = head
      return head
    } finally {
      channel.abort()
    }
  }

  /** From now on whoever fetches this conversation from us gets this head, and this pack, or what `send` writes. */
  serve(id: Oid, head: Oid, what: Uint8Array | Served['send']): void {
    this.#served.set(id, { head, send: typeof what === 'function' ? what : (write) => sendBand(write, what) })
  }

  serves(id: Oid): boolean {
    return this.#served.has(id)
  }

  /** Tells the node of a head. */
  announce(id: Oid, head: Oid): Promise<boolean> {
    return this.tell(MIME.commit, printCommitNotice({ conversation: id as ConversationId, commit: head as never, device: this.identity.deviceId }))
  }

  /**
   * Serves a head once, announces it until the node asks for it, and waits until the node has it or has said why not.
   * @returns `taken` or the code of why not. What the node holds off, because it refused something of us before, is announced again when it says that it takes it.
   */
  async feed(story: Story & { id: Oid }, head: Oid, what: Uint8Array | Served['send'], settleMs = 300, limitMs = 20_000): Promise<string> {
    const { arena } = this
    let over = false
    arena.forgetFetches(story.id)
    this.serve(story.id, head, async (write) => {
      try {
        await (typeof what === 'function' ? what(write) : sendBand(write, what))
      } finally {
        over = true
        this.#served.delete(story.id)
      }
    })
    let due = 0
    for (let begun = performance.now(); !over; await wait(20)) {
      const now = performance.now()
      const { heldUntilMs } = arena.fetches(story.id)
      if (now < heldUntilMs) begun = now
      else if (now - begun > limitMs) throw new Error(`not within ${limitMs} ms: the node takes what it was announced; ${this.asked.get(head) ?? 0} packs asked for, ${this.unsaid} announcements did not leave`)
      else if (now > due) {
        due = now + 1000
        if (!(await this.announce(story.id, head))) this.unsaid++
      }
    }
    let verdict = ''
    await until('a verdict of the node on what it took', async () => {
      verdict = arena.fetches(story.id).failed ?? 'taken'
      if (verdict !== 'taken') return true
      const { heads } = await arena.victim.ask<{ heads: [string, string][] }>('state')
      return heads.some(([id, its]) => id === story.id.slice(0, 8) && its === head.slice(0, 8))
    }, FULL ? 600_000 : 3 * limitMs) // how long it thinks is not what is measured: others are served meanwhile
    await wait(settleMs)
    return verdict
  }

  async #serve(channel: Channel): Promise<void> {
    const stream = new GitStream(channel, this.base.clock)
    for (;;) {
      const item = await stream.next({ patient: true })
      if (item === undefined) return
      if (item === 'flush') continue
      const served = this.#served.get(channel.name.slice(-40))
      if (!served) return channel.abort()
      const line = pktText(item)
      if (line.startsWith('git-upload-pack')) {
        await channel.write(concatBytes(pkt(`${served.head} HEAD\0 side-band-64k\n`), pkt(`${served.head} refs/heads/main\n`), FLUSH))
      } else if (line === 'done') {
        this.asked.set(served.head, (this.asked.get(served.head) ?? 0) + 1)
        await channel.write(pkt('NAK\n'))
        await served.send((bytes) => channel.write(bytes))
        if (!this.serves(channel.name.slice(-40))) return void (await channel.close())
      }
    }
  }

  // ---------------------------------------------------------------- links

  /** A link of its own, below the multiplexer: TLS is up, nothing else was said, and nothing is read. */
  async bareLink(identity: DeviceIdentity = this.identity): Promise<{ socket: TLSSocket; connection: FramedConnection; over: Promise<string> }> {
    const raw = new RawPeer({ env: () => this.base } as never, identity, this.dht)
    this.#raw.push(raw)
    const victim = await this.env.certificates.get(this.victimDevice)
    if (!victim) throw new Error('the certificate of the node is not here')
    const to = { deviceId: this.victimDevice, privateKey: { pem: '', publicKey: victim.chain[0].publicKey } } as never
    const connection = await Promise.race([raw.connect(to, 1 + this.base.random.below(2 ** 50)), wait(5000).then(() => Promise.reject(new Error('no answer to a request to connect')))])
    const { socket, over } = raw.secure(connection)
    await new Promise<void>((resolve, reject) => {
      socket.once('secure', () => resolve())
      over.then((how) => reject(new Error(`the link ended before it was up: ${how}`)))
      void wait(5000).then(() => reject(new Error('no TLS within 5 s')))
    })
    socket.pause()
    return { socket, connection, over }
  }

  async close(): Promise<void> {
    for (const raw of this.#raw) await raw.end()
    await this.node.close({ graceMs: 0 })
  }
}

/** Data as packets of the side-band, and the flush after them. */
export async function sendBand(write: (bytes: Uint8Array) => Promise<void>, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length; at += 65_000) await write(pkt(concatBytes(Uint8Array.of(1), data.subarray(at, at + 65_000))))
  await write(FLUSH)
}
