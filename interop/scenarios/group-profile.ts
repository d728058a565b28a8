// Title, description and avatar of a group, set by either side, as the other one shows them; members may not.
import { eventually, must, rejection, type Scenario } from '../lib/scenario.ts'
import { bringIn, oneHead, sameHistory, type Side, trio } from './sides.ts'

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

async function shows(sides: readonly Side[], conversation: string, wanted: Readonly<Record<string, string>>): Promise<void> {
  let seen: Record<string, string>[] = []
  await eventually('the profile everywhere', async () => {
    seen = await Promise.all(sides.map((side) => side.profile(conversation)))
    return seen.every((profile) => Object.entries(wanted).every(([name, value]) => (profile[name] ?? '') === value))
  }, 20_000).catch((error: unknown) => {
    throw new Error(`wanted ${JSON.stringify(wanted)}; ${sides.map((side, i) => `${side.label} ${JSON.stringify(seen[i])}`).join('; ')}`, { cause: error })
  })
}

export const groupProfile: Scenario = {
  name: 'group-profile',
  about: 'title, description and avatar of a group by either side, in the invitation, in the history and as shown; a member may not change them',
  hosts: 4,
  budgetMs: { ci: 120_000, full: 180_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const { dana, kim, kai, conversation } = await trio(stage)
    const all: Side[] = [dana, kim, kai]
    await stage.step('our Kim sets title, description and avatar; the daemon shows the same', async () => {
      await kim.updateProfile(conversation, { title: 'Grüße, 日本 👋', description: 'a: b; c\\d', avatar: PIXEL })
      await shows(all, conversation, { title: 'Grüße, 日本 👋', description: 'a: b; c\\d', avatar: PIXEL })
    })
    await stage.step('one of them is changed, the others stay', async () => {
      await kim.updateProfile(conversation, { description: 'only this' })
      await shows(all, conversation, { title: 'Grüße, 日本 👋', description: 'only this', avatar: PIXEL })
      await oneHead(all, conversation)
      await sameHistory(all, conversation)
    })
    const other = await stage.step('a group of the daemon: its profile is in the invitation that ours hear', async () => {
      const id = await dana.startGroup({ title: 'Danas Gruppe', description: 'made by a daemon', avatar: PIXEL })
      const since = kim.mark()
      await bringIn(dana, kim, id)
      const said = await kim.invited(id, { since })
      must(said.title === 'Danas Gruppe' && said.description === 'made by a daemon' && said.avatar === PIXEL && said.mode === 2, `invitation: ${JSON.stringify(said)}`)
      await shows([dana, kim], id, { title: 'Danas Gruppe', description: 'made by a daemon', avatar: PIXEL })
      return id
    })
    await stage.step('the daemon changes it, and ours shows it', async () => {
      await dana.updateProfile(other, { title: 'Umbenannt' })
      await shows([dana, kim], other, { title: 'Umbenannt', description: 'made by a daemon', avatar: PIXEL })
    })
    await stage.step('a member of ours may not change it: ERR_NOT_ADMIN, nothing is written', async () => {
      const before = await kim.head(other)
      const refused = await rejection(kim.updateProfile(other, { title: 'mine' }))
      must(refused.code === 'ERR_NOT_ADMIN', `code ${refused.code}: ${refused.message}`)
      must((await kim.head(other)) === before, 'something was written')
      await shows([dana, kim], other, { title: 'Umbenannt' })
    })
  },
}
