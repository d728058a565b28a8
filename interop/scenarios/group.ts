// Three nodes of ours and two daemons in groups: each makes one, invites, bans, sees others leave; all messages, edits, reactions, replies and
// deletions are seen by all, heads end equal, and what we show is what the daemon shows.
import { eventually, must, type Scenario } from '../lib/scenario.ts'
import { befriend, bringIn, cast, changed, hasRole, hears, oneHead, sameHistory, say, type Side } from './sides.ts'

export const group: Scenario = {
  name: 'group',
  about: 'three of our nodes and two daemons, not all of them contacts: each makes a group, invites, bans, leaves; equal heads, and the history as the daemon shows it',
  hosts: 6,
  budgetMs: { ci: 240_000, full: 480_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const { daemons: { dana, dirk }, nodes: { kim, kai, kay } } = await stage.step('a DHT, two daemons and three of our nodes are up', () => cast(stage, ['dana', 'dirk'], ['kim', 'kai', 'kay']))
    const all: Side[] = [dana, dirk, kim, kai, kay]
    await stage.step('some of them become contacts: Kim of everybody, Dana of Dirk and Kai, Dirk of Kay', async () => {
      for (const other of [dana, dirk, kai, kay]) await befriend(kim, other)
      await befriend(dana, dirk)
      await befriend(dana, kai)
      await befriend(kay, dirk)
    }, { timeoutMs: 120_000 })

    const main = await stage.step('SWM-1 Kim makes a group with a title and brings in all others: two daemons and two of our nodes', async () => {
      const id = await kim.startGroup({ title: 'Everybody', description: 'five of us' })
      for (const guest of [dana, kai, dirk, kay]) await bringIn(kim, guest, id)
      await oneHead(all, id)
      for (const one of all) await hasRole(all, id, one.uri, one === kim ? 'admin' : 'member')
      return id
    }, { timeoutMs: 90_000 })
    const said = await stage.step('each says something, and all hear it', async () => {
      const ids = new Map<Side, string>()
      for (const side of all) {
        ids.set(side, await say(side, main, `hello from ${side.label}`))
        await Promise.all(all.filter((other) => other !== side).map((other) => hears(other, main, `hello from ${side.label}`)))
      }
      await oneHead(all, main)
      return ids
    })
    const idOf = (side: Side) => said.get(side) ?? ''
    await stage.step('SWM-6 each answers another, edits its own text, reacts to two others; all have it each time', async () => {
      for (const [i, side] of all.entries()) {
        const [next, after] = [all[(i + 1) % all.length] as Side, all[(i + 2) % all.length] as Side]
        // one after the other: who writes at once is judged by `storm` and `merge-storm`
        const deeds = [
          () => side.reply(main, `${side.label} answers ${next.label}`, idOf(next)),
          () => side.edit(main, idOf(side), `hello again from ${side.label}`),
          () => side.react(main, idOf(next), '👍'),
          () => side.react(main, idOf(after), '🎉'),
        ]
        for (const deed of deeds) {
          await changed(side, main, deed)
          await oneHead(all, main)
        }
      }
    }, { timeoutMs: 90_000 })
    await stage.step('each deletes a text and takes a reaction back', async () => {
      for (const side of all) {
        const id = await say(side, main, `to be deleted by ${side.label}`)
        await changed(side, main, () => side.edit(main, id, ''))
        await oneHead(all, main)
      }
      for (const [i, side] of all.entries()) {
        await changed(side, main, () => side.unreact(main, idOf(all[(i + 2) % all.length] as Side), '🎉'))
        await oneHead(all, main)
      }
    }, { timeoutMs: 90_000 })
    await stage.step('programs of ours were told of each edit, deletion and reaction of others, and of each one taken back', async () => {
      for (const side of [kim, kai, kay]) {
        const told = (name: string, test: (args: readonly unknown[]) => boolean = () => true) => side.child.events.filter(({ line }) => line.signal === name && Array.isArray(line.args) && line.args[0] === main && test(line.args)).length
        const counts = () => [told('edited'), told('deleted'), told('reaction', (args) => args[4] === false), told('reaction', (args) => args[4] === true)]
        await eventually(`events of ${side.label}`, () => counts().join() === '4,4,8,4', 10_000).catch((error: unknown) => {
          throw new Error(`${side.label}: edits, deletions, reactions, reactions taken back: ${counts().join()}, wanted 4,4,8,4`, { cause: error })
        })
      }
    })
    await stage.step('what each of us shows is what the daemons show, field by field', async () => {
      await oneHead(all, main)
      stage.note({ messages: await sameHistory(all, main) })
    })

    // in a group of its own, each is the admin; the first guest is banned, the second leaves, the third stays
    for (const [admin, banned, leaver, stays] of [[dana, dirk, kai, kim], [dirk, kay, dana, kim], [kim, dana, dirk, kay], [kai, dana, kim, undefined], [kay, kim, dirk, undefined]] as const) {
      await stage.step(`${admin.label} makes a group, bans ${banned.label}, and ${leaver.label} leaves`, async () => {
        const id = await admin.startGroup({ title: `of ${admin.label}` })
        const guests: Side[] = [banned, leaver, ...(stays === undefined ? [] : [stays])]
        for (const guest of guests) await bringIn(admin, guest, id)
        await say(admin, id, 'welcome')
        await Promise.all(guests.map((guest) => hears(guest, id, 'welcome')))
        const left: Side[] = [admin, ...guests.slice(1)]
        await admin.ban(id, banned.uri)
        await hasRole(left, id, banned.uri, 'banned')
        await say(admin, id, 'without the banned one')
        await Promise.all(left.slice(1).map((guest) => hears(guest, id, 'without the banned one')))
        await leaver.leave(id)
        const last = left.filter((side) => side !== leaver)
        await hasRole(last, id, leaver.uri, undefined)
        must(!(await leaver.conversations()).includes(id), 'who left still has it')
        await oneHead(last, id)
        await sameHistory(last, id)
      }, { timeoutMs: 90_000 })
    }
    await stage.step('the first group goes on after all that', async () => {
      for (const side of all) {
        await say(side, main, `goodbye from ${side.label}`)
        await Promise.all(all.filter((other) => other !== side).map((other) => hears(other, main, `goodbye from ${side.label}`)))
      }
      await oneHead(all, main)
      await sameHistory(all, main)
    })
  },
}
