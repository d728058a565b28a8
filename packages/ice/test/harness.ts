// Managers of the throw-away identities on a simulated network and a shared table instead of a DHT, in virtual time. Tests only.
import { silentLogger } from '@jamikit/core/base'
import type { AccessPolicy, AccountUri, BaseEnv, CertificateStore, DeviceIdentity, PeerIdentity, Storage } from '@jamikit/core/contracts'
import { FakeCertificates, FakeDhtNetwork, ManualClock, SeededRandom, SimNetwork, testCrypto, testIdentity, testPeer, testStorage } from '@jamikit/core/testing'
import { Manager } from '../src/manager/connection-manager.ts'

export interface SideOptions {
  identity?: DeviceIdentity
  policy?: AccessPolicy
  certificates?: Partial<CertificateStore>
  storage?: Storage
  host?: string
  started?: boolean
}

export class Lab {
  readonly clock = new ManualClock()
  readonly random: SeededRandom
  readonly network: SimNetwork
  readonly crypto
  readonly dhtNetwork: FakeDhtNetwork
  readonly managers: Manager[] = []
  readonly #nodes: { stop(): Promise<void> }[] = []

  constructor(seed: number | string = 1) {
    this.random = new SeededRandom(seed)
    this.network = new SimNetwork({ clock: this.clock, random: this.random.fork('network') })
    this.crypto = testCrypto({ random: this.random.fork('crypto') })
    this.dhtNetwork = new FakeDhtNetwork({ clock: this.clock, crypto: this.crypto, random: this.random.fork('dht') })
  }

  env(host: string): BaseEnv {
    return { clock: this.clock, crypto: this.crypto, logger: silentLogger, random: this.random.fork(host), network: this.network.host(host) }
  }

  async dht() {
    const node = this.dhtNetwork.node()
    this.#nodes.push(node)
    await node.start()
    return node
  }

  /** Knows the first accounts of the pool; `overrides` take the place of single methods. */
  certificates(overrides: Partial<CertificateStore> = {}): CertificateStore {
    const store = new FakeCertificates({ clock: this.clock, known: [0, 1, 2, 3].map((i) => testIdentity(i).device.chain) })
    return { get: (device) => store.get(device), pin: (chain) => store.pin(chain), find: (device, op) => store.find(device, op), ...overrides }
  }

  async side(i: number, options: SideOptions = {}) {
    const identity = options.identity ?? testIdentity(i).device
    const host = options.host ?? `host${i}`
    const dht = await this.dht()
    const storage = options.storage ?? testStorage()
    const manager = new Manager({
      ...this.env(host), dht, identity, certificates: this.certificates(options.certificates), policy: options.policy ?? { allowsLink: () => true }, storage, prefix: 'p',
    })
    this.managers.push(manager)
    if (options.started !== false) await manager.start()
    return { manager, self: testPeer(identity) as PeerIdentity, dht, storage, host, identity }
  }

  readonly drive = <T>(work: Promise<T>): Promise<T> => this.clock.run(work)

  /** Stops everything; gives what is still open. */
  async end(): Promise<unknown[]> {
    await this.clock.run(Promise.all(this.managers.map((manager) => manager.stop())))
    await this.clock.run(Promise.all(this.#nodes.map((node) => node.stop())))
    await this.clock.advance(20_000)
    return [...this.network.openSockets(), ...this.clock.pending()]
  }
}

/** Two that allow each other, and a third that nobody allows. */
export async function trio(seed = 1) {
  const lab = new Lab(seed)
  const friends = new Set<AccountUri>([0, 1].map((i) => testIdentity(i).device.accountId))
  const policy: AccessPolicy = { allowsLink: (peer) => friends.has(peer.accountId) }
  const [a, b, stranger] = [await lab.side(0, { policy }), await lab.side(1, { policy }), await lab.side(2)]
  return { lab, a, b, stranger, drive: lab.drive }
}
