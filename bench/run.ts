// npm run bench [-- [--quick] [--pairs sdk-sdk,daemon-daemon] name…]      names: message contact (default: all)
//
// Our nodes and the real daemon doing the same thing in the same run, in network namespaces without a way out. One JSON line
// per figure; `value` is the median. The pairs take turns, so that noise of the machine hits all of them. Definitions:
//
//   message.one_way             send call written to the process -> line with the message read from the other process, one after
//                               another (the next one when the sender has seen its own, too); `first_20` = conversation of few commits
//   contact.accept_first_message  accept call -> both sides see the conversation joined, plus the first text from the one who asked
//   contact.accept_both_ways    the same plus the first text back
//   *.ratio                     first pair's median / daemon-daemon's median; at most 1 means: not slower than the daemon
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { killAllChildren } from '../interop/lib/line-child.ts'
import { Namespaces } from '../interop/lib/namespaces.ts'
import { requirePeers } from '../interop/lib/peers-dir.ts'
import { installPeers } from '../interop/lib/setup.ts'
import { befriend, type Kind, type Person, People } from './people.ts'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { quick: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false }, pairs: { type: 'string' } } })
const quick = values.quick

type PairName = 'sdk-sdk' | 'sdk-daemon' | 'daemon-sdk' | 'daemon-daemon'
const ALL_PAIRS: readonly { name: PairName; from: Kind; to: Kind }[] = [
  { name: 'sdk-sdk', from: 'sdk', to: 'sdk' },
  { name: 'sdk-daemon', from: 'sdk', to: 'daemon' },
  { name: 'daemon-sdk', from: 'daemon', to: 'sdk' },
  { name: 'daemon-daemon', from: 'daemon', to: 'daemon' },
]
const PAIRS = ALL_PAIRS.filter(({ name }) => values.pairs === undefined || values.pairs.split(',').includes(name))

function quantile(of: readonly number[], q: number): number {
  const sorted = [...of].sort((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const low = sorted[Math.floor(at)] ?? Number.NaN
  const high = sorted[Math.ceil(at)] ?? low
  return low + (high - low) * (at - Math.floor(at))
}
const round = (x: number) => (Math.abs(x) >= 100 ? Math.round(x) : Number(x.toPrecision(3)))

function figure(name: string, unit: string, of: readonly number[], note: string): number {
  const median = quantile(of, 0.5)
  const spread = of.length > 1 ? { p95: round(quantile(of, 0.95)), min: round(Math.min(...of)), max: round(Math.max(...of)) } : {}
  const load1 = Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0])
  process.stdout.write(`${JSON.stringify({ name, unit, value: round(median), n: of.length, ...spread, note, load1 })}\n`)
  return median
}

function ratios(name: string, medians: ReadonlyMap<PairName, number>): void {
  const base = medians.get('daemon-daemon')
  if (base === undefined) return
  for (const [pair, median] of medians) if (pair !== 'daemon-daemon') figure(`${name}.ratio.${pair}`, 'x', [median / base], `${pair} / daemon-daemon`)
}

async function message(people: People): Promise<void> {
  const rounds = quick ? 30 : 200
  const couples: { name: PairName; a: Person; b: Person; conversation: string; times: number[] }[] = []
  // sdk-daemon and daemon-sdk are the two directions of one conversation each, made by their first side
  for (const pair of PAIRS) {
    const [a, b] = await Promise.all([people.join(pair.from), people.join(pair.to)])
    const { conversation } = await befriend(a, b)
    couples.push({ name: pair.name, a, b, conversation, times: [] })
  }
  for (let i = -5; i < rounds; i++) {
    for (const couple of couples) {
      const text = `message ${i}`
      const [sinceA, sinceB] = [couple.a.mark(), couple.b.mark()]
      const begin = performance.now()
      const sent = couple.a.send(couple.conversation, text)
      const { atMs } = await couple.b.heard(couple.conversation, text, { since: sinceB })
      await sent
      await couple.a.echoed(couple.conversation, text, { since: sinceA })
      if (i >= 0) couple.times.push(atMs - begin)
    }
  }
  const all = new Map<PairName, number>()
  const early = new Map<PairName, number>()
  for (const { name, times } of couples) {
    all.set(name, figure(`message.one_way.${name}`, 'ms', times, 'text message, one after another'))
    early.set(name, figure(`message.one_way_first_20.${name}`, 'ms', times.slice(0, 20), 'the first 20 of these'))
  }
  ratios('message.one_way', all)
  ratios('message.one_way_first_20', early)
  await people.leave()
}

async function contact(people: People): Promise<void> {
  const rounds = quick ? 2 : 5
  const first = new Map<PairName, number[]>(PAIRS.map(({ name }) => [name, []]))
  const both = new Map<PairName, number[]>(PAIRS.map(({ name }) => [name, []]))
  const inviters = new Map<Kind, Person>()
  for (const kind of new Set(PAIRS.map(({ from }) => from))) inviters.set(kind, await people.join(kind))
  for (let i = 0; i < rounds; i++) {
    for (const pair of PAIRS) {
      const inviter = inviters.get(pair.from)
      if (inviter === undefined) throw new Error('no inviter')
      const invitee = await people.join(pair.to)
      const times = await befriend(inviter, invitee, 300)
      const at = performance.now()
      const since = [inviter.mark(), invitee.mark()] as const
      await inviter.send(times.conversation, 'first')
      const there = await invitee.heard(times.conversation, 'first', { since: since[1] })
      const turn = performance.now()
      await invitee.send(times.conversation, 'first back')
      const back = await inviter.heard(times.conversation, 'first back', { since: since[0] })
      const joined = Math.max(times.ready, times.joined)
      first.get(pair.name)?.push(joined + there.atMs - at)
      both.get(pair.name)?.push(joined + there.atMs - at + back.atMs - turn)
      await people.leave(invitee)
    }
  }
  for (const [name, of] of [['contact.accept_first_message', first], ['contact.accept_both_ways', both]] as const) {
    const medians = new Map<PairName, number>()
    for (const [pair, times] of of) medians.set(pair, figure(`${name}.${pair}`, 'ms', times, 'inviter-invitee; accepted to first message'))
    ratios(name, medians)
  }
  await people.leave()
}

const BENCHES: Record<string, (people: People) => Promise<void>> = { message, contact }

async function main(): Promise<number> {
  const unknown = positionals.filter((name) => !(name in BENCHES))
  if (unknown.length > 0) {
    console.error(`no such bench: ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`)
    return 2
  }
  requirePeers()
  installPeers(new Set(['daemon', 'opendht']))
  const net = new Namespaces('jb')
  const dir = mkdtempSync(join(tmpdir(), 'jamikit-bench-'))
  const cleanUp = () => {
    killAllChildren()
    net.down()
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      cleanUp()
      process.exit(130)
    })
  }
  let ok = false
  try {
    for (const [name, bench] of Object.entries(BENCHES)) {
      if (positionals.length > 0 && !positionals.includes(name)) continue
      await People.within(net, join(dir, name), bench)
    }
    ok = true
  } finally {
    cleanUp()
    if (ok && !values.keep) rmSync(dir, { recursive: true, force: true })
    else console.error(`logs: ${dir}`)
  }
  return 0
}

process.exitCode = await main()
