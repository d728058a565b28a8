// jamikit/testing: real nodes on a network in memory, in virtual time, from a seed. No socket, no thread, no waiting.
// Proof: test/test-network.test.ts, test/two-accounts*.test.ts.
import { type Account, JamiError, type JamiNode, memoryStorage, silentLogger } from '@jamikit/core'
import { argumentError, type Check, checkArgument, checkOptions, is, type Shape } from '@jamikit/core/base'
import type { BaseEnv, Dht } from '@jamikit/core/contracts'
import { ManualClock, SeededRandom, SimNetwork, testCrypto } from '@jamikit/core/testing'
import { dht } from '@jamikit/dht'
import { createJamiNode, type NodeOptions } from '../create-node.ts'
import { isolated } from '../networks.ts'

/** What the simulated network is like. */
export interface TestNetworkOptions {
  /** Same seed, same story. */
  seed?: number | string
  /** One way, between any two hosts. */
  latencyMs?: number
  /** 0 … 1: of datagrams, and of TCP segments (which are sent again). */
  lossRate?: number
  /** Address families of the hosts; default IPv4 alone, which costs half the time of both. */
  families?: 4 | 6 | 'both'
}

/** Whole nodes in memory; ends with `await net[Symbol.asyncDispose]()` (or `await using`). */
export interface TestNetwork extends AsyncDisposable {
  /** The time of everything in it; stands still unless you let it pass. */
  readonly clock: ManualClock
  /** The simulated network itself, for what the shortcuts below leave out. */
  readonly network: SimNetwork
  /** A node on a host of its own, joined to the test's DHT. */
  createNode(options?: Omit<NodeOptions, 'network' | 'runtime'> & { host?: string }): Promise<JamiNode>
  /**
   * An account on a node and a host of its own, announced. RSA keys come from a pool of throw-away ones.
   * @throws ERR_LIMIT at the 17th
   */
  account(name: string): Promise<Account>
  /** The node that `account()` made for it. @throws ERR_NOT_FOUND */
  node(account: Account): JamiNode
  /** Makes contacts of two accounts: both have their conversation when it resolves. */
  befriend(a: Account, b: Account): Promise<void>
  /** Cuts the hosts of different groups off from each other. The DHT's other node stays with the last group. */
  partition(...groups: readonly (readonly Account[])[]): void
  /** Ends a partition. */
  heal(): void
  /** Lets virtual time pass, and everything that falls into it. */
  advance(ms: number): Promise<void>
  /** Lets virtual time pass until `work` settles. @throws ERR_TIMEOUT after `limitMs` of it (an hour) */
  run<T>(work: Promise<T>, limitMs?: number): Promise<T>
  /** Lets what is due now happen; time does not pass. */
  settle(): Promise<void>
}

const HUB = 'hub'
const RATE: Check = { allowed: 'a number from 0 to below 1', test: (value) => typeof value === 'number' && value >= 0 && value < 1 }
const FAMILIES: Check = { allowed: "4, 6 or 'both'", test: (value) => value === 4 || value === 6 || value === 'both' }
const SEED: Check = { allowed: 'a number or a text', test: (value) => typeof value === 'string' || Number.isFinite(value) }
const OPTIONS: Shape = { seed: SEED, latencyMs: is.milliseconds, lossRate: RATE, families: FAMILIES }
/** Name of an account or a host. */
const NAME = is.text(1, 100)
const DHT_PORT = 4222
const ACCOUNT = is.with('an account', 'once', 'on', 'ready')
/** Three keys each, of the throw-away ones in @jamikit/core/testing. */
const MAX_ACCOUNTS = 16

/**
 * A network of its own: nothing outside this process is contacted.
 * @example const net = await createTestNetwork({ seed: 1, latencyMs: 40, lossRate: 0.01 })
 */
export async function createTestNetwork(options: TestNetworkOptions = {}): Promise<TestNetwork> {
  checkOptions(options, OPTIONS)
  const { seed = 1, latencyMs = 10, lossRate = 0, families = 4 } = options
  const clock = new ManualClock()
  const random = new SeededRandom(seed)
  const network = new SimNetwork({ clock, random: random.fork('network'), latencyMs, lossRate })
  const crypto = testCrypto({ random: random.fork('crypto') })
  const envOf = (host: string): BaseEnv => ({ clock, crypto, network: network.host(host, { ipv4: families !== 6, ipv6: families !== 4 }), random: random.fork(`host ${host}`), logger: silentLogger })

  const hub: Dht = dht()({ ...envOf(HUB), bootstrap: [], port: DHT_PORT })
  await clock.run(hub.start())
  const nodes = new Set<JamiNode>() // bounded by the test
  const hosts = new Map<Account, { host: string; node: JamiNode }>() // bounded by MAX_ACCOUNTS

  async function createNode(nodeOptions: Omit<NodeOptions, 'network' | 'runtime'> & { host?: string } = {}): Promise<JamiNode> {
    const { host = `host-${nodes.size + 1}`, ...rest } = checkedNodeOptions(nodeOptions)
    const { logger: _, ...runtime } = envOf(host)
    const node = await clock.run(createJamiNode({ storage: memoryStorage(), ...rest, network: isolated(`${HUB}:${DHT_PORT}`), dht: { port: DHT_PORT }, runtime }))
    nodes.add(node)
    return node
  }

  return {
    clock,
    network,
    createNode,
    async account(name) {
      checkArgument('name', name, NAME)
      if ([...hosts.values()].some(({ host }) => host === name)) throw argumentError('name', `${JSON.stringify(name)}, which has an account already`, 'one account a name')
      if (hosts.size >= MAX_ACCOUNTS)
        throw new JamiError('ERR_LIMIT', `accounts of one test network: got ${hosts.size + 1}, allowed ${MAX_ACCOUNTS}: each takes three of the ${3 * MAX_ACCOUNTS} RSA keys that ship with the kit; make another network`, {
          details: { what: 'accounts of one test network', got: hosts.size + 1, allowed: MAX_ACCOUNTS },
        })
      const node = await createNode({ host: name })
      const account = await clock.run(node.accounts.open(name, { displayName: name }))
      hosts.set(account, { host: name, node })
      await clock.run(account.ready())
      return account
    },
    node(account) {
      const known = hosts.get(account)
      if (!known) throw new JamiError('ERR_NOT_FOUND', 'the account was not made by account() of this network', { details: { account: account?.uri } })
      return known.node
    },
    async befriend(a, b) {
      for (const [field, account] of [['a', a], ['b', b]] as const) checkArgument(field, account, ACCOUNT)
      if (a.uri === b.uri) throw argumentError('b', 'the same account', 'another one')
      if (a.contacts.list().some(({ uri, confirmed }) => uri === b.uri && confirmed)) return
      const accepting = b.once('contact:request', { filter: ({ from }) => from.uri === a.uri }).then((request) => request.accept())
      const [conversation, accepted] = await clock.run(Promise.all([a.contacts.add(b.uri), accepting]))
      const joined = () => conversation.members.some(({ uri, role }) => uri === b.uri && role === 'member') && conversation.head === accepted.head
      await clock.runUntil(joined)
    },
    partition(...groups) {
      for (const group of groups) checkArgument('groups', group, { allowed: 'lists of accounts of this network', test: (value) => Array.isArray(value) && value.every((account) => hosts.has(account)) })
      const named = groups.map((group) => group.map((account) => hosts.get(account)?.host).filter((host) => host !== undefined))
      named.at(-1)?.push(HUB)
      network.partition(...named)
    },
    heal: () => network.heal(),
    async advance(ms) {
      checkArgument('ms', ms, is.milliseconds)
      await clock.advance(ms)
    },
    async run(work, limitMs) {
      checkArgument('work', work, { allowed: 'a promise', test: (value) => typeof (value as PromiseLike<unknown> | undefined)?.then === 'function' })
      checkArgument('limitMs', limitMs ?? 0, is.milliseconds)
      return clock.run(work, limitMs)
    },
    settle: () => clock.settle(),
    async [Symbol.asyncDispose]() {
      await clock.run(Promise.all([...nodes].map((node) => node.close({ graceMs: 0 }))))
      await clock.run(hub.stop())
    },
  }
}

function checkedNodeOptions(options: Omit<NodeOptions, 'network' | 'runtime'> & { host?: string }) {
  if (options === null || typeof options !== 'object') throw argumentError('options', String(options), 'options')
  for (const name of ['network', 'runtime', 'dht']) if (name in options) throw argumentError(name, 'one', 'none: the test network gives it')
  if (options.host !== undefined) checkArgument('host', options.host, NAME)
  return options // the rest: createJamiNode()
}
