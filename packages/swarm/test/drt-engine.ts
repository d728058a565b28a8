// One engine of the routing table whose effects are written down, and whose peers are the test.
import { utf8 } from '@jamikit/core/codec'
import type { AccountUri, ConversationId, DeviceId, DeviceIdentity, PeerIdentity } from '@jamikit/core/contracts'
import { chainToPem } from '@jamikit/core/identity'
import { SeededRandom, testCrypto } from '@jamikit/core/testing'
import { DrtEngine } from '../src/drt/engine.ts'
import type { DrtHost } from '../src/drt/host.ts'
import { isLeaseGood, signLease } from '../src/drt/leases.ts'
import { type DrtMessage, DrtStream, encodeDrtMessage, type OutgoingDrtMessage } from '../src/drt/wire.ts'

const crypto = testCrypto()

export class EngineBench {
  now = 0
  readonly wallMs: number
  readonly conversation: ConversationId
  readonly engine: DrtEngine
  readonly dials: { device: DeviceId; existing: boolean; account: AccountUri | undefined }[] = []
  readonly closed = new Map<number, string>()
  readonly told: boolean[] = []
  readonly nodes: string[] = []
  readonly found: string[] = []
  readonly links = new Set<DeviceId>()
  readonly refused = new Set<string>()
  readonly strangers = new Set<AccountUri>()
  readonly store = new Map<DeviceId, PeerIdentity>()
  readonly dht = new Map<DeviceId, PeerIdentity>()
  readonly sent: { channel: number; message: DrtMessage }[] = []
  mobileChanges = 0
  /** Where bytes of channels go besides `sent`. */
  onSend: ((channel: number, bytes: Uint8Array) => void) | undefined
  #work: Promise<unknown> = Promise.resolve()

  constructor(identity: DeviceIdentity, conversation = 'c'.repeat(40) as ConversationId) {
    this.conversation = conversation
    this.wallMs = identity.chain[0].notBeforeMs + 86_400_000
    const host: DrtHost = {
      dial: (device, { account, existingLinkOnly }) => this.dials.push({ device, existing: existingLinkOnly, account }),
      send: (channel, bytes) => {
        for (const message of new DrtStream().push(bytes)) this.sent.push({ channel, message })
        this.onSend?.(channel, bytes)
      },
      close: (channel, reason) => this.closed.set(channel, reason.code),
      node: (device, _, up) => this.nodes.push(`${up ? '+' : '-'}${device}`),
      connected: (isConnected) => this.told.push(isConnected),
      findCertificate: (device, _, where) => {
        this.found.push(`${where} ${device}`)
        this.#later(async () => this.engine.certificateFound(device, where, (where === 'here' ? this.store : this.dht).get(device), this.now))
      },
      checkLease: (lease, peer) => this.#later(async () => this.engine.leaseChecked(lease, await isLeaseGood(crypto, lease, peer), this.now)),
      loadCertificates: (to, ids) => this.#later(async () => {
        const pems = ids.flatMap((id) => {
          const chain = id === identity.deviceId ? identity.chain : this.store.get(id)?.chain
          return chain ? [utf8(chainToPem(chain))] : []
        })
        this.engine.certificatesLoaded(to, pems, this.now)
      }),
      signLease: (times) => this.#later(async () => this.engine.leaseSigned(await signLease(crypto, identity, conversation, times), this.now)),
      mobilesChanged: () => this.mobileChanges++,
      hasLink: (device) => this.links.has(device),
      isAllowed: (account, device) => !this.refused.has(account) && !this.refused.has(device),
      isMember: (account) => !this.refused.has(account) && !this.strangers.has(account),
    }
    this.engine = new DrtEngine({ device: identity.deviceId, conversation, certificateEndMs: identity.chain[0].notAfterMs, random: new SeededRandom(identity.deviceId), wallTimeMs: () => this.wallMs + this.now }, host, 0)
  }

  #later(work: () => Promise<void>): void {
    this.#work = this.#work.then(work)
  }

  /** Until what the engine asked for was answered. */
  async rest(): Promise<void> {
    for (let work: unknown; work !== this.#work; ) {
      work = this.#work
      await this.#work
    }
  }

  up(channel: number, device: DeviceId, account: AccountUri): void {
    this.engine.channelUp(channel, device, account, this.now)
  }

  say(channel: number, message: OutgoingDrtMessage): void {
    this.engine.bytes(channel, encodeDrtMessage(message), this.now)
  }

  tickTo(ms: number): void {
    while (this.engine.nextMs <= ms) {
      this.now = Math.max(this.now, this.engine.nextMs)
      this.engine.tick(this.now)
    }
    this.now = ms
  }

  /** What was sent since the last call. */
  take(): DrtMessage[] {
    return this.sent.splice(0).map(({ message }) => message)
  }
}

/** Two engines over one channel, whose bytes arrive at once. */
export function joined(a: EngineBench, b: EngineBench, identities: readonly [DeviceIdentity, DeviceIdentity], channels: readonly [number, number]): void {
  const queue: (() => void)[] = []
  let running = false
  const pump = () => {
    if (running) return
    running = true
    for (let next = queue.shift(); next; next = queue.shift()) next()
    running = false
  }
  const wire = (from: EngineBench, to: EngineBench, out: number, into: number) => {
    const before = from.onSend
    from.onSend = (channel, bytes) => {
      if (channel !== out) return before?.(channel, bytes)
      queue.push(() => to.engine.bytes(into, bytes, to.now))
      pump()
    }
  }
  wire(a, b, channels[0], channels[1])
  wire(b, a, channels[1], channels[0])
  running = true
  a.up(channels[0], identities[1].deviceId, identities[1].accountId)
  b.up(channels[1], identities[0].deviceId, identities[0].accountId)
  running = false
  pump()
}
