// One real node in a process of its own, on real sockets of this machine: the one that is attacked, or its honest contact with the DHT's other
// node. Speaks JSON lines: commands in, answers and events out. Started by processes.ts.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { nodeCrypto } from '@jamikit/core/crypto'
import type { Crypto, Dht, Log, Logger, LogLevel, Network } from '@jamikit/core/contracts'
import { lineLogger, silentLogger } from '@jamikit/core/base'
import { spareKey } from '@jamikit/core/testing'
import { dht } from '@jamikit/dht'
import { type Account, type Conversation, createJamiNode, isolated, type JamiNode } from 'jamikit'
import { nodeNetwork, nodeRandom, systemClock } from '../../../core/src/io/index.ts'
import { LoopWatch, nowMs } from './loop-watch.ts'

const [role = 'victim', profile = '', hubAddress = '', firstKey = '0', level = 'silent'] = process.argv.slice(2)

/** Keys of the pool that no account of these processes has. */
const SPARE_KEY = 9
let nextKey = Number(firstKey)
const network: Network = { ...nodeNetwork(), addresses: () => [{ host: '127.0.0.1', family: 4 }] }
/** Keys of the pool: nobody waits for RSA-4096. */
const crypto: Crypto = { ...nodeCrypto(), generateKey: async () => spareKey(nextKey++) }
const runtime = { clock: systemClock(), random: nodeRandom(), crypto, network }

const say = (line: Record<string, unknown>) => void process.stdout.write(`${JSON.stringify(line)}\n`)

/** What the node says of its fetches and of its profile: who attacks it waits for that, not for a time. */
const TOLD = new Set(['not fetched: what this device sent was refused', 'what a peer sent was refused', 'a fetch failed', 'storage'])
function watched(inner: Logger): Logger {
  const at = (write: Log): Log => (fields, message) => {
    const { conversation, waitMs, err } = fields as { conversation?: string; waitMs?: number; err?: Error & { code?: string } }
    if (message && TOLD.has(message)) say({ event: 'told', what: message, conversation, waitMs, code: err?.code, error: err?.message })
    write(fields, message)
  }
  return { trace: inner.trace, debug: at(inner.debug), info: inner.info, warn: at(inner.warn), error: at(inner.error), child: (more) => watched(inner.child(more)) }
}

const loop = new LoopWatch()
const delay = monitorEventLoopDelay({ resolution: 5 })
let peakBytes = 0
const heapBytes = () => {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Not in the contract: only its owner knows that it is a node of ours. */
const portOf = (node: Dht | undefined) => (node as { port?: (family: 4) => number | undefined } | undefined)?.port?.(4)

let account: Account
let node: JamiNode
let conversation: Conversation
let sending: NodeJS.Timeout | undefined
let sent = 0
const problems = new Map<string, number>()

async function start(): Promise<Record<string, unknown>> {
  let hub = hubAddress
  if (role === 'friend') {
    const other = dht()({ ...runtime, logger: silentLogger, bootstrap: [], port: 0 })
    await other.start()
    hub = `127.0.0.1:${portOf(other)}`
  }
  const startedMs = nowMs()
  let own: Dht | undefined
  node = await createJamiNode({
    storage: profile, network: isolated(hub), runtime, logger: watched(lineLogger(level as LogLevel, (line) => process.stderr.write(`${line}\n`))),
    modules: {
      dht: (env) => {
        own = dht()(env)
        return own
      },
    },
  })
  account = await node.accounts.open(role, { displayName: role })
  const openMs = nowMs() - startedMs
  node.on('error', ({ error }) => void problems.set(error.code, (problems.get(error.code) ?? 0) + 1))
  if (role === 'victim') {
    account.on('contact:request', (request) => {
      say({ event: 'request', from: request.from.uri })
      if (hostileToo || accepted.has(request.from.uri)) void request.accept().catch(() => {})
    })
    account.on('message', (message) => {
      const text = message.type === 'text' ? /^n (\d+) ([0-9.]+)$/.exec(message.text) : undefined
      if (!text) return
      const [saidMs, atMs] = [Number(text[2]), nowMs()]
      say({ event: 'heard', n: Number(text[1]), saidMs, atMs, waitedMs: loop.waitedMs(saidMs, atMs) })
    })
    // a protocol whose function never reads
    account.channels.handle('blocked', () => {
      blocked++
    })
  }
  await account.ready({ timeoutMs: 30_000 })
  return { hub, uri: account.uri, udp: portOf(own), openMs, readyMs: nowMs() - startedMs }
}

let hostileToo = false
let blocked = 0
const accepted = new Set<string>()

const commands: Record<string, (line: { uri?: string; everyMs?: number; fromMs?: number; toMs?: number; id?: number }) => unknown> = {
  /** Whose requests are accepted; `*` for anybody's. */
  accept: ({ uri = '' }) => (uri === '*' ? (hostileToo = true) : accepted.add(uri)),
  befriend: async ({ uri = '' }) => {
    conversation = await account.contacts.add(uri)
    const begun = nowMs()
    while (!conversation.members.some((m) => m.uri === uri && m.role === 'member')) {
      if (nowMs() - begun > 30_000) throw new Error('the contact does not join')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  },
  talk: ({ everyMs = 300 }) => {
    sending = setInterval(() => {
      const n = sent++
      say({ event: 'sent', n, atMs: nowMs() })
      conversation.send(`n ${n} ${nowMs()}`).catch((error: unknown) => say({ event: 'unsent', n, error: String(error) }))
    }, everyMs)
  },
  waited: ({ fromMs = 0, toMs = 0 }) => loop.waitedMs(fromMs, toMs),
  silence: () => clearInterval(sending),
  /** Forgets what was, measures from here. */
  reset: () => {
    loop.reset()
    delay.reset()
    peakBytes = 0
  },
  measure: () => ({ loopMs: loop.worstMs, rawLoopMs: delay.max / 1e6, peakBytes, problems: Object.fromEntries(problems) }),
  heap: async () => {
    for (let i = 0; i < 4; i++) {
      ;(globalThis as { gc?: () => void }).gc?.()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return { bytes: heapBytes(), ...process.memoryUsage() }
  },
  counts: () => ({ blocked, links: node.accounts.list().length }),
  state: () => ({ contacts: account.contacts.list().map(({ uri, confirmed }) => ({ uri, confirmed })), conversations: account.conversations.list().length, heads: account.conversations.list().map((c) => [c.id.slice(0, 8), c.head?.slice(0, 8), c.ready]), requests: account.contacts.requests().length, dht: node.dht.status().ipv4 }),
  /** Another account, removed again. Gives what to look for in the profile: a line from the middle of each of its keys, and of the keys of the account that stays. */
  spare: async () => {
    const lineOf = (i: number) => spareKey(i).pem.split('\n')[8]
    const own = Array.from({ length: 3 }, (_, i) => lineOf(Number(firstKey) + i))
    const before = (nextKey = SPARE_KEY)
    await node.accounts.remove(await node.accounts.open('spare', { displayName: 'spare' }))
    return { own, removed: Array.from({ length: nextKey - before }, (_, i) => lineOf(before + i)) }
  },
  end: async () => {
    await node.close({ graceMs: 0 })
    setImmediate(() => process.exit(0))
  },
}

process.on('uncaughtException', (error) => {
  say({ event: 'dead', error: String(error.stack) })
  process.exit(70)
})

const began = await start()
delay.enable()
loop.start()
setInterval(() => {
  peakBytes = Math.max(peakBytes, heapBytes())
}, 100)
say({ event: 'up', pid: process.pid, ...began })
for await (const text of createInterface({ input: process.stdin })) {
  const line = JSON.parse(text) as { id: number; do: string }
  void (async () => commands[line.do]?.(line))().then((result) => say({ answer: line.id, result: result ?? null }), (error: unknown) => say({ answer: line.id, error: String(error) }))
}
process.exit(0) // whoever started us is gone
