// A ban by either side: the banned one gets nothing more and nothing of it is taken; taken back, all is one again.
import { must, type Scenario, eventually } from '../lib/scenario.ts'
import { bringIn, hasRole, headOf, hears, oneHead, sameHistory, say, type Side, trio } from './sides.ts'

async function bannedAndBack(admin: Side, other: Side, banned: Side, conversation: string): Promise<void> {
  const heads = await Promise.all([headOf(banned, conversation), headOf(admin, conversation)])
  must(heads[0] === heads[1], 'not of one mind before')
  await admin.ban(conversation, banned.uri)
  await hasRole([admin, other], conversation, banned.uri, 'banned')
  await say(admin, conversation, `without ${banned.label}`)
  await hears(other, conversation, `without ${banned.label}`)
  const alone = await say(banned, conversation, `alone of ${banned.label}`).catch(() => undefined) // whoever has learnt of its ban may not write
  await say(other, conversation, `still without ${banned.label}`)
  await hears(admin, conversation, `still without ${banned.label}`)
  const head = await oneHead([admin, other], conversation)
  const theirs = await headOf(banned, conversation)
  must(theirs !== head, `${banned.label} still gets what is written`)
  must((await admin.members(conversation)).find(({ uri }) => uri === banned.uri)?.role === 'banned', 'not banned any more')
  await admin.invite(conversation, banned.uri)
  await hasRole([admin, other], conversation, banned.uri, 'member')
  await say(admin, conversation, `welcome back, ${banned.label}`)
  await oneHead([admin, other, banned], conversation)
  await hasRole([banned], conversation, banned.uri, 'member')
  await say(banned, conversation, `thank you, says ${banned.label}`)
  await oneHead([admin, other, banned], conversation)
  // what was written by the banned one meanwhile comes with its return
  if (alone !== undefined) await eventually('what it wrote alone', async () => JSON.stringify(await Promise.all([admin, other].map((side) => bodies(side, conversation)))).split(`alone of ${banned.label}`).length === 3)
  await sameHistory([admin, other, banned], conversation)
}

const bodies = async (side: Side, conversation: string): Promise<unknown> => ('views' in side ? side.views(conversation) : side.load(conversation))

export const ban: Scenario = {
  name: 'ban',
  about: 'our node bans the daemon, the daemon bans our node, our node bans a node of ours: nothing goes to the banned one, nothing is taken from it; unbanned, all catch up',
  hosts: 4,
  budgetMs: { ci: 150_000, full: 240_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const { dana, kim, kai, conversation } = await trio(stage)
    await stage.step('our Kim bans the daemon, and takes it back', () => bannedAndBack(kim, kai, dana, conversation), { timeoutMs: 90_000 })
    await stage.step('our Kim bans our Kai, and takes it back', () => bannedAndBack(kim, dana, kai, conversation), { timeoutMs: 90_000 })
    const other = await stage.step('a group of the daemon', async () => {
      const id = await dana.startGroup({ title: 'of Dana' })
      for (const guest of [kim, kai]) await bringIn(dana, guest, id)
      await oneHead([dana, kim, kai], id)
      return id
    })
    await stage.step('the daemon bans our Kim, and takes it back', () => bannedAndBack(dana, kai, kim, other), { timeoutMs: 90_000 })
    await stage.step('who was only invited is banned, and invited again', async () => {
      const id = await kim.startGroup({ title: 'Invited' })
      const since = dana.mark()
      await kim.invite(id, dana.uri)
      await dana.invited(id, { since })
      await kim.ban(id, dana.uri)
      await hasRole([kim], id, dana.uri, 'banned')
      await kim.invite(id, dana.uri)
      await hasRole([kim], id, dana.uri, 'invited')
      await dana.acceptInvitation(id)
      await hasRole([kim], id, dana.uri, 'member')
      await oneHead([dana, kim], id)
    })
  },
}
