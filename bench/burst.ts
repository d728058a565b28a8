// npm run bench -- burst        many texts without waiting for any
//
//   burst.rate          500 texts (quick: 100): from the first call until the peer has all. Ours has when it has shown the last one; the daemon,
//                       when its repository has them all, which is earlier than its signals
//   burst.commit_rate   the same, until the sender's own history has all
//   burst.cpu_sender, cpu_receiver   processor time per message, meanwhile
import { costs } from './costs.ts'
import { lists, perKind, type Run } from './pairs.ts'
import { befriend, type Kind, type People, type Person } from './people.ts'
import { until } from './until.ts'

const LONG_MS = 600_000

export async function burst(people: People, { quick, kinds, loops }: Run): Promise<void> {
  const [count, rounds] = quick ? [100, 1] : [500, 3]
  const couples = new Map<Kind, { a: Person; b: Person; conversation: string }>()
  for (const kind of kinds) {
    const [a, b] = await Promise.all([people.join(kind), people.join(kind)])
    const { conversation } = await befriend(a, b)
    couples.set(kind, { a, b, conversation })
  }
  for (const { a, b } of couples.values()) await loops.took('making contacts', a, b)
  const all = { rate: lists(), commits: lists(), sender: lists(), receiver: lists() }
  for (let n = 0; n < rounds; n++) {
    for (const [kind, { a, b, conversation }] of couples) {
      const prefix = `burst ${n} `
      const since = b.mark()
      const begin = performance.now()
      const { result, cpu } = await costs([a.pid, b.pid], async () => {
        const written = a.write(conversation, prefix, count, 'at once').then(() => performance.now())
        if (kind === 'sdk') return { written: await written, there: (await b.heardAll(conversation, prefix, count, { since, timeoutMs: LONG_MS })).atMs }
        // both heads first: to count them takes processor time from the daemons
        const own = await written
        let there = 0
        await until('the burst at the peer', LONG_MS, async () => {
          if ((await a.head(conversation)) !== (await b.head(conversation))) return false
          there = performance.now()
          return b.has(conversation, prefix) >= count
        })
        return { written: own, there }
      })
      all.rate[kind].push(count / ((result.there - begin) / 1000))
      all.commits[kind].push(count / ((result.written - begin) / 1000))
      all.sender[kind].push(((cpu[0] ?? 0) * 1000) / count)
      all.receiver[kind].push(((cpu[1] ?? 0) * 1000) / count)
      await loops.took('burst', a, b)
    }
  }
  perKind('burst.rate', '1/s', all.rate, `${count} texts without waiting, first call to all at the peer`, 'aim: at least 4')
  perKind('burst.commit_rate', '1/s', all.commits, 'the same, until the own history has all')
  perKind('burst.cpu_sender', 'ms', all.sender, 'processor time per message')
  perKind('burst.cpu_receiver', 'ms', all.receiver, 'processor time per message')
  await people.leave()
}
