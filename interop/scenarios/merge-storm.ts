// Five writers whose links are cut at random: nothing is lost, and there is one head in the end.
import { run } from '../lib/namespaces.ts'
import { must, type Scenario } from '../lib/scenario.ts'
import { befriend, bringIn, cast, history, isSdk, oneHead, sameHistory, type Side } from './sides.ts'

/** Numbers that look like chance and are the same in each run. */
function chance(seed: number): (below: number) => number {
  let x = seed
  return (below) => {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff
    return x % below
  }
}

export const mergeStorm: Scenario = {
  name: 'merge-storm',
  notInCi: 'it measures how long a storm lasts',
  about: 'three nodes of ours and two daemons write 100 messages (full: 500) while their network is cut at random: one head, no loss, the same history',
  hosts: 6,
  budgetMs: { ci: 240_000, full: 900_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const each = stage.full ? 100 : 20
    const { daemons: { dana, dirk }, nodes: { kim, kai, kay } } = await stage.step('a DHT, two daemons and three of our nodes are up', () => cast(stage, ['dana', 'dirk'], ['kim', 'kai', 'kay']))
    const all: Side[] = [dana, dirk, kim, kai, kay]
    const conversation = await stage.step('a group of all five', async () => {
      for (const other of [dana, dirk, kai, kay]) await befriend(kim, other)
      const id = await kim.startGroup({ title: 'Merge storm' })
      for (const guest of [dana, dirk, kai, kay]) await bringIn(kim, guest, id)
      await oneHead(all, id)
      return id
    }, { timeoutMs: 120_000 })
    const port = (host: number, up: boolean) => run(['ip', '-n', stage.net.name(host), 'link', 'set', 'eth0', up ? 'up' : 'down'])
    const repair = (host: number) => {
      port(host, true)
      run(['ip', '-n', stage.net.name(host), 'route', 'replace', 'default', 'dev', 'lo', 'src', stage.net.v4(host)])
      run(['ip', '-n', stage.net.name(host), 'addr', 'replace', `${stage.net.v6(host)}/64`, 'dev', 'eth0', 'nodad'])
    }
    const wanted: string[] = []
    await stage.step(`SWM-21 ${each} texts by each of five, one host without network at a time`, async () => {
      const random = chance(20261128)
      let away: number | undefined
      for (let n = 0; n < each; n++) {
        if (n % 4 === 0) {
          if (away !== undefined) repair(away)
          away = 2 + random(all.length)
          port(away, false)
        }
        for (const side of all) {
          const text = `${n} of ${side.label}`
          wanted.push(text)
          await side.send(conversation, text)
        }
      }
      if (away !== undefined) repair(away)
    }, { timeoutMs: stage.full ? 300_000 : 90_000 })
    await stage.step('one head, each text exactly once, the same history everywhere', async () => {
      const begin = performance.now()
      for (;;) {
        await oneHead(all, conversation, 120_000)
        const texts = new Map<string, number>()
        for (const { type, text } of await kim.history(conversation)) if (type === 'text') texts.set(text, (texts.get(text) ?? 0) + 1)
        must([...texts.values()].every((count) => count === 1), 'a text is there twice')
        if (wanted.every((text) => texts.has(text))) break
        must(performance.now() - begin < 120_000, `${wanted.filter((text) => !texts.has(text)).length} texts are missing`)
      }
      stage.note({ texts: wanted.length, convergedMs: Math.round(performance.now() - begin) })
      must((await history(all.find(isSdk) as Side, conversation)).length >= wanted.length, 'messages are missing')
      await sameHistory(all, conversation)
    }, { timeoutMs: 150_000 })
  },
}
