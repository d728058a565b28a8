// npm run bench -- clone search      a group of one with 5,000 texts (quick: 200), which somebody joins, and words in it
//
//   clone.member_5000       the invited accepts (the call) until the conversation is ready there; `clone_5000.ratio`
//   clone.member_5000_joined   the same, until the inviter sees that they joined
//   clone.cpu_server, cpu_invited   processor seconds meanwhile
//   search.5000             a word that one text in 500 has, in the history of who wrote it. The daemon's is processor time, in steps of 10 ms: its addon does
//                           not tell what it found; ours is processor time of 100 searches : 100, with the results over the bridge. `search.5000.ratio`
//   search.5000_cloned      the same at the one who joined
//   search.5000_wall        ours: search call to the result
//   search.5000_first       ours: the first one after a start, its index on disk
//   search.5000_build       ours: the first one after a start with the index gone: it is made from the history
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { costs, cpuSeconds } from './costs.ts'
import { figure } from './figure.ts'
import { say } from './loops.ts'
import { lists, perKind, type Run } from './pairs.ts'
import { befriend, bringIn, type Kind, type People, type Person } from './people.ts'
import { pause } from './until.ts'

const WORD = 'needle'
const EVERY = 500
const SEARCHES = 3
/** Ours are shorter than a step of the clock. */
const OURS_AT_ONCE = 100
const QUIET_MS = 400

export async function long(people: People, { messages, kinds, wanted, loops }: Run): Promise<void> {
  const couples = {} as Record<Kind, { a: Person; b: Person; group: string }>
  await Promise.all(kinds.map(async (kind) => {
    const [a, b] = await Promise.all([people.join(kind), people.join(kind)])
    await befriend(a, b, 300)
    couples[kind] = { a, b, group: await a.startGroup() }
  }))
  say(`writing ${messages}`)
  await Promise.all(kinds.map((kind) => fill(couples[kind].a, couples[kind].group, messages)))
  await loops.took(`writing ${messages}`, couples.sdk.a)
  const small = messages === 5000 ? '' : ` (small run: ${messages} messages)`

  const [ready, joined, server, invited] = [lists(), lists(), lists(), lists()]
  for (const kind of kinds) {
    const { a, b, group } = couples[kind]
    const { result, cpu } = await costs([a.pid, b.pid], () => bringIn(a, b, group, 500))
    ready[kind].push(result.ready)
    joined[kind].push(result.joined)
    server[kind].push(cpu[0] ?? 0)
    invited[kind].push(cpu[1] ?? 0)
  }
  await loops.took('serving a clone', couples.sdk.a)
  await loops.took('clone', couples.sdk.b)
  if (wanted.has('clone')) {
    perKind('clone.member_5000', 'ms', ready, `accept call to conversation ready${small}`)
    if (kinds.length === 2) figure('clone_5000.ratio', 'x', [(ready.sdk[0] ?? Number.NaN) / (ready.daemon[0] ?? Number.NaN)], `ours / daemon; aim: at most 0.3${small}`)
    perKind('clone.member_5000_joined', 'ms', joined, `accept call to joined, at the inviter${small}`)
    perKind('clone.cpu_server', 's', server, 'processor time from the invitation on')
    perKind('clone.cpu_invited', 's', invited, 'processor time from the invitation on')
  }
  if (wanted.has('search')) await searches(couples, kinds, messages, small, loops)
  await people.leave()
}

/** Texts of about a hundred characters, as people write them; one in 500 has the word. */
async function fill(person: Person, group: string, count: number): Promise<void> {
  const body = 'message of a long conversation, with about a hundred characters of text in it, like people write'
  for (let n = 0; n < count; ) {
    // the one with the word first, then the rest of its 500
    await person.write(group, `${body} ${WORD} ${n} `, 1, 'in turn')
    const rest = Math.min(EVERY - 1, count - n - 1)
    if (rest > 0) await person.write(group, `${body} ${n} `, rest, 'in turn')
    n += EVERY
  }
}

/** Milliseconds of processor time of one search, several times. */
async function cpuOf(person: Person, group: string, found: number): Promise<number[]> {
  const times: number[] = []
  for (let n = 0; n < SEARCHES; n++) {
    await pause(300)
    const { cpu } = await costs([person.pid], async () => {
      if (person.kind === 'sdk') for (let i = 0; i < OURS_AT_ONCE; i++) await checked(person, group, found)
      else {
        await person.search(group, WORD)
        for (let used = -1; used !== cpuSeconds(person.pid); ) {
          used = cpuSeconds(person.pid)
          await pause(QUIET_MS)
        }
      }
    })
    times.push(((cpu[0] ?? 0) * 1000) / (person.kind === 'sdk' ? OURS_AT_ONCE : 1))
  }
  return times
}

/** Milliseconds until it has told of all of them. */
async function checked(person: Person, group: string, found: number): Promise<number> {
  const begin = performance.now()
  const count = await person.search(group, WORD)
  if (count !== found) throw new Error(`${count} found, not ${found}`)
  return performance.now() - begin
}

type Couples = Readonly<Record<Kind, { a: Person; b: Person; group: string }>>

async function searches(couples: Couples, kinds: readonly Kind[], messages: number, small: string, loops: Run['loops']): Promise<void> {
  const found = Math.ceil(messages / EVERY)
  const { a, b, group } = couples.sdk
  for (const [name, who] of [['search.5000', 'a'], ['search.5000_cloned', 'b']] as const) {
    const times = lists()
    for (const kind of kinds) times[kind].push(...(await cpuOf(couples[kind][who], couples[kind].group, found)))
    perKind(name, 'ms', times, `processor time of a search for a word${small}`, 'aim: at most 0.1')
  }
  const wall: number[] = []
  for (let n = 0; n < OURS_AT_ONCE; n++) wall.push(await checked(a, group, found))
  figure('search.5000_wall', 'ms', wall, `ours: search call to its ${found} results${small}`)
  await loops.took('search', a, b)
  await a.stop()
  await a.start()
  figure('search.5000_first', 'ms', [await checked(a, group, found)], `ours: the first one after a start, the index on disk${small}`)
  await loops.took('first search', a)
  await a.stop()
  rmSync(join(a.repository(group), 'jamikit', 'index'), { recursive: true })
  await a.start()
  await loops.took('start without an index', a)
  const before = cpuSeconds(a.pid)
  figure('search.5000_build', 'ms', [await checked(a, group, found)], `ours: the first one after a start with the index gone: it is made${small}`, { cpu_ms: Math.round((cpuSeconds(a.pid) - before) * 1000) })
  await loops.took('making the index', a)
}
