// npm run bench -- message      one text after another, each pair in its own conversation
import { figure } from './figure.ts'
import { type PairName, ratios, type Run } from './pairs.ts'
import { befriend, type People, type Person } from './people.ts'

export async function message(people: People, { quick, pairs, loops }: Run): Promise<void> {
  const rounds = quick ? 30 : 200
  const couples: { name: PairName; a: Person; b: Person; conversation: string; times: number[] }[] = []
  // sdk-daemon and daemon-sdk are the two directions of one conversation each, made by their first side
  for (const pair of pairs) {
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
  for (const { name, a, b } of couples) await loops.took(`message ${name}`, a, b)
  await people.leave()
}
