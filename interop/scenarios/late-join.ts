// A member who is invited after a long history gets all of it; both roles.
import { commits, fsck } from '../lib/git.ts'
import { must, type Scenario } from '../lib/scenario.ts'
import { befriend, bringIn, cast, isSdk, oneHead, sameHistory, say, type Side } from './sides.ts'

export const lateJoin: Scenario = {
  name: 'late-join',
  about: 'the daemon is invited into a group of ours after 300 messages (full: 5,000), and our node into one of the daemon: every message, one head, the same history',
  hosts: 4,
  budgetMs: { ci: 150_000, full: 900_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const count = stage.full ? 5000 : 300
    const { daemons: { dana }, nodes: { kim, kai } } = await stage.step('a DHT, a daemon and two of our nodes are up', () => cast(stage, ['dana'], ['kim', 'kai']))
    await stage.step('they are contacts', async () => {
      await Promise.all([befriend(kim, dana), befriend(kai, kim)])
      await befriend(dana, kai)
    })
    for (const [admin, early, late] of [[kim, kai, dana], [dana, kai, kim]] as readonly (readonly [Side, Side, Side])[]) {
      const id = await stage.step(`${admin.label} makes a group and writes ${count} messages in it`, async () => {
        const group = await admin.startGroup({ title: 'Long' })
        if (isSdk(admin)) await admin.call('sendMany', group, 'long ', 0, count)
        else {
          for (let i = 0; i < count; i++) await admin.send(group, `long ${i}`)
          await admin.message(group, `long ${count - 1}`, { timeoutMs: 300_000 })
        }
        return group
      }, { timeoutMs: stage.full ? 400_000 : 60_000 })
      await stage.step(`${early.label} of ours is brought in, and has all`, async () => {
        await bringIn(admin, early, id)
        await oneHead([admin, early], id)
      }, { timeoutMs: 120_000 })
      await stage.step(`${late.label} is invited last, and has all: the same commits, git fsck --strict`, async () => {
        const begin = performance.now()
        await bringIn(admin, late, id)
        stage.note({ late: late.label, messages: count, joinMs: Math.round(performance.now() - begin) })
        await oneHead([admin, early, late], id)
        const copies = await Promise.all([admin, early, late].map((side) => (isSdk(side) ? side.export(id, 'late') : side.repository(id))))
        for (const copy of copies) fsck(copy)
        const [first, ...others] = copies.map((copy) => commits(copy).join())
        must(others.every((one) => one === first), 'not the same commits')
        must((await sameHistory([admin, early, late], id)) >= count, 'messages are missing')
      }, { timeoutMs: 200_000 })
      await stage.step('the latecomer speaks, and all hear it', async () => {
        await say(late, id, 'sorry for being late')
        await oneHead([admin, early, late], id)
      })
    }
  },
}
