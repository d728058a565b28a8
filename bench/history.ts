// npm run bench -- history      what a long history costs: ours and the daemon's in the same run
//
//   history.one_way.*            one text after another in conversations that are new, of 5,000, of 100,000 messages; all take turns, so that
//                                noise of the machine hits all. `flat` = ours long : ours new
//   history.catch_up_5000        the peer was away while 5,000 were written; from the start of its process to the last one shown
//   history.clone_5000           a contact request is accepted after 5,000 were written: accept call to conversation ready
//   history.open_100000, page_100000   bench/open-profile.ts
//   history.loop_delay_max       the longest turn of the event loop of any of our nodes in any of these, and in which
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { rootDir } from '../interop/lib/peers-dir.ts'
import { built } from './built.ts'
import { figure, quantile, round } from './figure.ts'
import { Loops, say } from './loops.ts'
import type { Run } from './pairs.ts'
import { befriend, type Kind, type People, type Person } from './people.ts'

const LONG_MS = 3_600_000

interface Couple {
  readonly kind: Kind
  readonly a: Person
  readonly b: Person
  readonly conversation: string
}

const bytesBelow = (dir: string): number => readdirSync(dir, { withFileTypes: true }).reduce((sum, e) => sum + (e.isDirectory() ? bytesBelow(join(dir, e.name)) : statSync(join(dir, e.name)).size), 0)

export async function history(people: People, run: Run): Promise<void> {
  const { quick, messages, long } = run
  const loops = new Loops()
  const size = (n: number, text: string) => (messages === 5000 && (n !== long || long === 100_000) ? text : `${text} (small run: ${n} messages)`)
  const couple = async (kind: Kind, options = {}): Promise<Couple> => {
    const a = await people.join(kind, options)
    const b = await people.join(kind)
    return { kind, a, b, conversation: (await befriend(a, b)).conversation }
  }
  const each = <T>(work: (kind: Kind) => Promise<T>) => Promise.all((['sdk', 'daemon'] as const).map(work))
  const perKind = (name: string, unit: string, of: ReadonlyMap<Kind, number[]>, note: string) =>
    new Map([...of].map(([kind, values]) => [kind, figure(`${name}.${kind}`, unit, values, note)]))
  const ratio = (name: string, of: ReadonlyMap<Kind, number>, note: string) => figure(name, 'x', [(of.get('sdk') ?? Number.NaN) / (of.get('daemon') ?? Number.NaN)], note)

  // ---- writing, all at the same time: none of it is measured but the turns of the event loop ------------------------------
  const half = Math.floor(long / 2) // one fetch brings at most 100,000 commits
  say('making people')
  const clones: Couple[] = await each(async (kind) => {
    const [a, b] = [await people.join(kind), await people.join(kind)]
    const conversation = await a.ask(b.uri)
    await b.asked(a.uri, { since: 0, timeoutMs: 120_000 })
    return { kind, a, b, conversation }
  })
  const old = await each((kind) => couple(kind))
  const longest = half > 0 ? await couple('sdk', { keyBits: 2048 }) : undefined
  const away = [...old, ...(longest ? [longest] : [])]
  for (const { a, b } of [...clones, ...away]) await loops.took('making contacts', a, b)
  say('writing')
  const write = async ({ kind, a, conversation }: Couple, prefix: string, count: number) => {
    const begin = performance.now()
    await a.write(conversation, prefix, count, 'in turn')
    say(`${kind}: wrote ${count} in ${((performance.now() - begin) / 1000).toFixed(0)} s`)
    await loops.took(`writing ${count}`, a)
  }
  await Promise.all([
    ...clones.map((of) => write(of, 'early ', messages)),
    ...old.map((of) => of.b.stop().then(() => write(of, 'away ', messages))),
    ...(longest ? [longest.b.stop().then(() => write(longest, 'long 1 ', half))] : []),
  ])

  // ---- a request that is accepted late ---------------------------------------------------------------------------------
  const cloned = new Map<Kind, number[]>()
  for (const { kind, a, b, conversation } of clones) {
    await loops.took('waiting', b)
    const begin = performance.now()
    const accepted = b.accept(a.uri)
    const { atMs } = await b.ready(conversation, { since: 0, timeoutMs: LONG_MS })
    await accepted
    cloned.set(kind, [atMs - begin])
    await loops.took('clone', b)
    await loops.took('serving a clone', a)
    await people.leave(a, b)
  }
  ratio('history.clone_5000.ratio', perKind('history.clone_5000', 'ms', cloned, size(messages, 'accept call to conversation ready')), 'ours / daemon; target at most 0.4')

  // ---- a peer that was away --------------------------------------------------------------------------------------------
  const comeBack = async ({ a, b, conversation }: Couple, prefix: string, count: number): Promise<number> => {
    const there = await a.head(conversation)
    const begin = performance.now()
    await b.start()
    const started = performance.now() - begin
    const first = b.heard(conversation, `${prefix}0`, { since: 0, timeoutMs: LONG_MS }).catch(() => undefined)
    const { atMs } = await caughtUp(b, conversation, prefix, count, there)
    const firstMs = (await Promise.race([first, undefined]))?.atMs
    say(`${b.kind}: announced after ${started.toFixed(0)} ms, first one shown after ${firstMs === undefined ? 'none' : (firstMs - begin).toFixed(0)} ms, last one after ${(atMs - begin).toFixed(0)} ms`)
    await loops.took(`catching up ${count}`, b)
    await loops.took(`serving ${count}`, a)
    return atMs - begin
  }
  const caught = new Map<Kind, number[]>()
  for (const of of old) caught.set(of.kind, [await comeBack(of, 'away ', messages)])
  ratio('history.catch_up_5000.ratio', perKind('history.catch_up_5000', 'ms', caught, size(messages, "the peer's start to the last one shown")), 'ours / daemon; target at most 0.5')
  const disk = old.filter(({ kind }) => kind === 'sdk').flatMap(({ a, b, conversation }) => [a, b].map((p) => bytesBelow(p.repository(conversation)) / messages))
  figure('history.disk_bytes_per_message', 'B', [Math.max(...disk)], 'folder of the conversation, of writer or reader, whichever is larger; target at most 1,500')
  if (longest) {
    const times = [await comeBack(longest, 'long 1 ', half)]
    await longest.b.stop()
    await write(longest, 'long 2 ', half)
    times.push(await comeBack(longest, 'long 2 ', half))
    figure('history.catch_up_50000.sdk', 'ms', times, size(long, `${half} messages of a device with a 2,048-bit key, twice: the two halves of the very long history`))
  }

  // ---- one after another, new and old in turns -------------------------------------------------------------------------
  const fresh = await each((kind) => couple(kind))
  const lanes = [
    ...fresh.map((of) => ({ name: `fresh.${of.kind}`, of, times: [] as number[] })),
    ...old.map((of) => ({ name: `after_5000.${of.kind}`, of, times: [] as number[] })),
    // the other way round: who writes has a key of the usual length
    ...(longest ? [{ name: 'after_100000.sdk', of: { ...longest, a: longest.b, b: longest.a }, times: [] as number[] }] : []),
  ]
  for (let i = -5; i < (quick ? 30 : 200); i++) {
    for (const { of: { a, b, conversation }, times } of lanes) {
      const text = `message ${i}`
      const [sinceA, sinceB] = [a.mark(), b.mark()]
      const begin = performance.now()
      const sent = a.send(conversation, text)
      const { atMs } = await b.heard(conversation, text, { since: sinceB })
      await sent
      await a.echoed(conversation, text, { since: sinceA })
      if (i >= 0) times.push(atMs - begin)
    }
  }
  const oneWay = new Map(lanes.map(({ name, times, of }) => [name, figure(`history.one_way.${name}`, 'ms', times, size(name.startsWith('after_100000') ? long : messages, of.kind))]))
  for (const { name, of: { a, b } } of lanes) await loops.took(`one way ${name}`, a, b)
  const flat = (name: string, key: string, most: number) => figure(name, 'x', [(oneWay.get(key) ?? Number.NaN) / (oneWay.get('fresh.sdk') ?? Number.NaN)], `ours long : ours fresh; target at most ${most}`)
  flat('history.one_way.flat', 'after_5000.sdk', 1.2)
  if (longest) flat('history.one_way.flat_100000', 'after_100000.sdk', 1.3)

  await people.leave()
  if (longest) open(longest, loops, (text) => size(long, text), people.folder('empty'))
  execFileSync(process.execPath, ['--import', 'tsx', join(rootDir, 'bench', 'dht-listens.ts')], { stdio: 'inherit', cwd: rootDir })
  loops.print('history.')
  run.loops.join(loops)
}

/** The last one shown. Where a peer does not signal each of them, its repository decides: half a minute after that. */
async function caughtUp(person: Person, conversation: string, prefix: string, count: number, there: string): Promise<{ atMs: number }> {
  const shown = person.heardAll(conversation, prefix, count, { since: 0, timeoutMs: LONG_MS })
  if (person.kind === 'sdk') return shown
  shown.catch(() => {})
  for (;;) {
    const done = await Promise.race([shown, new Promise<undefined>((resolve) => setTimeout(resolve, 20, undefined))])
    if (done) return done
    if ((await person.head(conversation)) !== there) continue
    const atMs = performance.now()
    const late = await Promise.race([shown, new Promise<undefined>((resolve) => setTimeout(resolve, 30_000, undefined))])
    if (!late) say('the daemon has all, but did not show all of them: the time is that of its repository')
    return late ?? { atMs }
  }
}

interface Opened {
  startMs: number
  heapMb: number
  pageMs: number
  maxMs: number
  ownMs: number
}

/** Starts of a node with the long conversation, and with none, in processes of their own, in turns. */
function open({ a, conversation }: Couple, loops: Loops, note: (text: string) => string, empty: string): void {
  const profile = join(a.dir, 'profile')
  mkdirSync(empty, { recursive: true })
  const start = (args: string[]): Opened => {
    const made = spawnSync(process.execPath, ['--expose-gc', built('open-profile'), ...args], { encoding: 'utf8', maxBuffer: 1 << 24 })
    if (made.status !== 0) throw new Error(`open-profile: ${made.stderr}`)
    return JSON.parse(made.stdout) as Opened
  }
  start([empty, 'main']) // makes the account
  const [with_, without]: [Opened[], Opened[]] = [[], []]
  for (let n = 0; n < 5; n++) {
    with_.push(start([profile, 'main', conversation]))
    without.push(start([empty, 'main']))
  }
  for (const one of with_) loops.add('starting with the long history', one)
  const heap = (of: Opened[]) => quantile(of.map(({ heapMb }) => heapMb), 0.5)
  figure('history.open_100000', 'ms', with_.map(({ startMs }) => startMs), note('start of a node with such a conversation; targets 1,500 ms and 60 MB more than an empty one'), {
    heap_mb_more: round(heap(with_) - heap(without)), empty_ms: round(quantile(without.map(({ startMs }) => startMs), 0.5)), loop_delay_max_ms: round(Math.max(...with_.map(({ maxMs }) => maxMs))), loop_busy_max_ms: round(Math.max(...with_.map(({ ownMs }) => ownMs))),
  })
  figure('history.page_100000', 'ms', with_.map(({ pageMs }) => pageMs), note('the newest 50 messages after the start; target at most 50'))
}
