// npm run bench -- group storm      groups of 5 and 8 (quick: 5): all ours, beside all daemons
//
//   group.N.join     the creator invites, accepted at once: the call until it is ready there and joined here; one after another
//   group.N.each     50 texts (quick: 10) by the members in turn: send call to the line with the text from each other member; both groups in turns
//   group.N.all      the same, to the last member; `lost`: not heard in 20 s
//   group.N.cpu      processor time of all members together, per text
//   group.N.storm    20 texts by each member at once: the first call until all have one head with all texts; 40 s at most. `texts_ms`: until
//                    all have all texts (ours: have shown them), `merges`: merge commits that it left. Where it did not come to its end,
//                    `storm_healed`: one more text by the creator until each has all texts
//   group.N.rss      resident memory of a member at the end
import { costs, memoryMb } from './costs.ts'
import { figure } from './figure.ts'
import { say } from './loops.ts'
import { lists, perKind, type Run } from './pairs.ts'
import { befriend, bringIn, type Kind, type People, type Person } from './people.ts'
import { pause, until } from './until.ts'

const HEARD_MS = 20_000
const STORM_MS = 40_000
const HEAL_MS = 20_000
const LOOK_MS = 300
const HEADS_MS = 50
const STORM_TEXTS = 20
/** What a group does after its last member joined is not measured. */
const REST_MS = 5_000

export async function groups(people: People, { quick, sizes, kinds, wanted, loops }: Run): Promise<void> {
  const most = Math.max(...sizes)
  const all: Record<Kind, Person[]> = { sdk: [], daemon: [] }
  for (const kind of kinds) {
    say(`${most} people: ${kind}`)
    for (let n = 0; n < most; n += 2) all[kind].push(...(await Promise.all(Array.from({ length: Math.min(2, most - n) }, () => people.join(kind)))))
    const [creator, ...others] = all[kind]
    for (const other of others) if (creator) await befriend(creator, other, 200)
  }
  await loops.took('making contacts', ...all.sdk)
  for (const size of sizes) {
    const of = { sdk: all.sdk.slice(0, size), daemon: all.daemon.slice(0, size) }
    const ids: Record<Kind, string> = { sdk: '', daemon: '' }
    const joins = lists()
    for (const kind of kinds) {
      const [creator, ...others] = of[kind]
      if (!creator) throw new Error('a group of nobody')
      ids[kind] = await creator.startGroup()
      for (const other of others) joins[kind].push((await bringIn(creator, other, ids[kind])).invited)
      say(`a group of ${size}: ${kind}`)
    }
    await loops.took(`joining a group of ${size}`, ...of.sdk)
    await pause(REST_MS)
    if (wanted.has('group')) {
      perKind(`group.${size}.join`, 'ms', joins, 'invite call, accepted at once, to ready there and joined here')
      await texts(size, kinds, of, ids, quick ? 10 : 50)
      await loops.took(`texts in a group of ${size}`, ...of.sdk)
    }
    if (wanted.has('storm')) {
      for (const kind of kinds) await storm(size, kind, of[kind], ids[kind])
      await loops.took(`storm of ${size}`, ...of.sdk)
    }
    perKind(`group.${size}.rss`, 'MB', { sdk: of.sdk.map(({ pid }) => memoryMb(pid).rss), daemon: of.daemon.map(({ pid }) => memoryMb(pid).rss) }, 'resident memory of a member')
  }
  await people.leave()
}

async function texts(size: number, kinds: readonly Kind[], of: Readonly<Record<Kind, readonly Person[]>>, ids: Readonly<Record<Kind, string>>, count: number): Promise<void> {
  const [each, last, cpu] = [lists(), lists(), lists()]
  const lost: Record<Kind, number> = { sdk: 0, daemon: 0 }
  for (let n = 0; n < count; n++) {
    for (const kind of kinds) {
      const members = of[kind]
      const from = members[n % members.length]
      if (!from) continue
      const others = members.filter((member) => member !== from)
      const text = `text ${n} of ${size}`
      const since = others.map((other) => other.mark())
      const { result, cpu: used } = await costs(members.map(({ pid }) => pid), async () => {
        const begin = performance.now()
        const sent = from.send(ids[kind], text)
        const heard = await Promise.all(others.map((other, i) => other.heard(ids[kind], text, { since: since[i] ?? 0, timeoutMs: HEARD_MS }).then(({ atMs }) => atMs - begin, () => undefined)))
        await sent
        return heard
      })
      const heard = result.filter((ms) => ms !== undefined)
      lost[kind] += others.length - heard.length
      each[kind].push(...heard)
      if (heard.length === others.length) last[kind].push(Math.max(...heard))
      cpu[kind].push(used.reduce((sum, seconds) => sum + seconds, 0) * 1000)
    }
  }
  const note = `${count} texts by the members in turn; not heard in 20 s: ours ${lost.sdk}, the daemons' ${lost.daemon}`
  perKind(`group.${size}.each`, 'ms', each, `${note}; to each other member`, 'aim for 8: at most 0.5')
  perKind(`group.${size}.all`, 'ms', last, 'the same, to the last member', 'aim for 8: at most 0.5')
  // steps of 10 ms: only the sum tells
  for (const kind of kinds) figure(`group.${size}.cpu.${kind}`, 'ms', [cpu[kind].reduce((sum, ms) => sum + ms, 0) / count], 'processor time of all members together per text')
}

async function storm(size: number, kind: Kind, members: readonly Person[], conversation: string): Promise<void> {
  const prefix = `storm ${size} `
  const wanted = size * STORM_TEXTS
  const [first] = members
  if (!first) return
  const mergesBefore = first.merges(conversation)
  const since = members.map((member) => member.mark())
  const begin = performance.now()
  let all: Promise<boolean> | undefined
  let textsMs: number | undefined
  let endMs = 0
  const { result: done, cpu } = await costs(members.map(({ pid }) => pid), async () => {
    // the daemons' end when each has shown its own texts, which they need not
    const written = members.map((member, n) => member.write(conversation, `${prefix}${n} `, STORM_TEXTS, 'at once'))
    for (const one of written) one.catch(() => {})
    all = kind === 'sdk' ? shown(members, conversation, prefix, since) : full(members, conversation, prefix, wanted, STORM_MS)
    all.then((yes) => {
      if (yes) textsMs = performance.now() - begin
    }, () => {})
    return until('one head', STORM_MS, async () => {
      if (textsMs === undefined) return false // asking takes processor time from ours
      const heads = await Promise.all(members.map((member) => member.head(conversation)))
      endMs = performance.now() - begin
      return new Set(heads).size === 1
    }, HEADS_MS).then(() => true, () => false)
  })
  const heads = new Set(await Promise.all(members.map((member) => member.head(conversation)))).size
  const more = {
    texts_ms: textsMs === undefined ? null : Math.round(textsMs), cpu_s: Number(cpu.reduce((sum, seconds) => sum + seconds, 0).toFixed(2)), merges: first.merges(conversation) - mergesBefore,
  }
  const what = `${STORM_TEXTS} texts by each member at once, to one head everywhere with all ${wanted}`
  if (done) {
    figure(`group.${size}.storm.${kind}`, 'ms', [endMs], `${what}${kind === 'sdk' ? '; must be at most 3,000' : ''}`, more)
    return
  }
  const counts = () => members.map((member) => Math.min(wanted, member.has(conversation, prefix) + (kind === 'sdk' ? STORM_TEXTS : 0))).join(' ')
  figure(`group.${size}.storm.${kind}`, 'ms', [], `${what}: NOT after 40 s; ${heads} heads; the members have ${counts()} of ${wanted}`, more)
  const healing = performance.now()
  await first.send(conversation, `heal ${size}`)
  const healed = await full(members, conversation, prefix, kind === 'sdk' ? wanted - STORM_TEXTS : wanted, HEAL_MS)
  figure(`group.${size}.storm_healed.${kind}`, 'ms', healed ? [performance.now() - healing] : [], healed ? 'one more text by the creator until each has all texts' : `still not 20 s after one more text by the creator: ${counts()}`)
}

/** Ours: all have shown all texts of the others. */
async function shown(members: readonly Person[], conversation: string, prefix: string, since: readonly number[]): Promise<boolean> {
  const all = members.flatMap((member, at) => members.flatMap((_, by) =>
    by === at ? [] : [member.heardAll(conversation, `${prefix}${by} `, STORM_TEXTS, { since: since[at] ?? 0, timeoutMs: STORM_MS })]))
  return Promise.all(all).then(() => true, (error: unknown) => (say(String(error).split('\n')[0] ?? ''), false))
}

/** All have so many texts: by their repositories, which is not looked at too often. */
function full(members: readonly Person[], conversation: string, prefix: string, count: number, timeoutMs: number): Promise<boolean> {
  return until('all texts', timeoutMs, () => members.every((member) => member.has(conversation, prefix) >= count), LOOK_MS).then(() => true, () => false)
}
