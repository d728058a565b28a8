// npm run bench -- contact      from a contact request that is accepted to the first texts
import { figure } from './figure.ts'
import { type PairName, ratios, type Run } from './pairs.ts'
import { befriend, type Kind, type People, type Person } from './people.ts'

export async function contact(people: People, { quick, pairs, loops }: Run): Promise<void> {
  const rounds = quick ? 2 : 5
  const first = new Map<PairName, number[]>(pairs.map(({ name }) => [name, []]))
  const both = new Map<PairName, number[]>(pairs.map(({ name }) => [name, []]))
  const inviters = new Map<Kind, Person>()
  for (const kind of new Set(pairs.map(({ from }) => from))) inviters.set(kind, await people.join(kind))
  for (let i = 0; i < rounds; i++) {
    for (const pair of pairs) {
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
      await loops.took(`contact ${pair.name}`, inviter, invitee)
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
