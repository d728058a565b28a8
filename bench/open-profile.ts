// node --expose-gc open-profile.js <profile> <account> [conversation]      what a start costs, one JSON line; nothing is contacted
//
//   startMs   createJamiNode() and the account, until the conversation can be read
//   heapMb    heap and array buffers after a collection that were not there before the start
//   pageMs    the newest 50 messages, the first time
import { createJamiNode, isolated } from 'jamikit'
import { LoopWatch } from '../interop/lib/loop-watch.ts'

const PAGE = 50

function usedMb(): number {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / 2 ** 20
}

const [profile = '', label = '', id] = process.argv.slice(2)
const loop = new LoopWatch()
const before = usedMb()
loop.take()
const begin = performance.now()
const node = await createJamiNode({ storage: profile, network: isolated(), logger: 'warn' })
const account = await node.accounts.open(label)
const conversation = id === undefined ? undefined : account.conversations.get(id)
if (conversation && !conversation.ready) throw new Error('the conversation is not ready')
const startMs = performance.now() - begin
const page = performance.now()
let shown = 0
if (conversation) for await (const _ of conversation.history({ limit: PAGE })) shown++
const pageMs = performance.now() - page
await new Promise((resolve) => setTimeout(resolve, 100)) // the watch has its turn
const delay = loop.take()
const heapMb = usedMb() - before
process.stdout.write(`${JSON.stringify({ startMs, heapMb, pageMs, shown, ...delay, sinceSpawnMs: performance.now() })}\n`)
await node.close()
