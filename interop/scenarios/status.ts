// Who has a message and who has read it, as each side knows of the other: 1:1 and in a group.
import type { Daemon } from '../lib/daemon.ts'
import { STATUS } from '../lib/daemon.ts'
import { must, rejection, type Scenario } from '../lib/scenario.ts'
import type { Sdk } from '../lib/sdk.ts'
import { befriend, cast, bringIn, hears, oneHead, say } from './sides.ts'

async function bothWays(dana: Daemon, kim: Sdk, conversation: string, what: string): Promise<void> {
  const ours = await say(kim, conversation, `ours ${what}`)
  await Promise.all([kim.status(ours, dana.uri, 'sent'), hears(dana, conversation, `ours ${what}`)])
  await dana.displayed(conversation, ours)
  await kim.status(ours, dana.uri, 'displayed')
  const theirs = await say(dana, conversation, `theirs ${what}`)
  await Promise.all([hears(kim, conversation, `theirs ${what}`), dana.status(theirs, kim.uri, STATUS.sent)])
  await kim.displayed(conversation, theirs)
  await dana.status(theirs, kim.uri, STATUS.displayed)
}

export const status: Scenario = {
  name: 'status',
  about: 'sent and read, as our node knows it of the daemon and as the daemon knows it of our node: 1:1, in a group, and for what was sent while the other was away',
  hosts: 4,
  budgetMs: { ci: 150_000, full: 240_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const { daemons, nodes: { kim, kai } } = await stage.step('a DHT, a daemon and two of our nodes are up', () => cast(stage, ['dana'], ['kim', 'kai']))
    let dana: Daemon = daemons.dana
    const direct = await stage.step('they are contacts', async () => {
      const [id] = await Promise.all([befriend(kim, dana), befriend(kai, kim)])
      return id
    })
    await stage.step('SWM-17 1:1: a text of ours is sent, then read; one of the daemon is sent, then read', () => bothWays(dana, kim, direct, '1:1'))
    await stage.step('the program learns it from delivered()', async () => {
      const id = await say(kim, direct, 'is it there?')
      await kim.call('delivered', direct, id, 20_000)
    })
    await stage.step('what is sent while the daemon is away becomes sent when it has fetched it, and not before', async () => {
      await dana.stop()
      const id = await say(kim, direct, 'while you were away')
      const refused = await rejection(kim.call('delivered', direct, id, 1500))
      must(refused.code === 'ERR_TIMEOUT', `code ${refused.code}`)
      dana = await stage.daemon('dana', 2)
      const since = kim.mark()
      await dana.resume()
      await kim.status(id, dana.uri, 'sent', { since, timeoutMs: 30_000 })
      await dana.displayed(direct, id)
      await kim.status(id, dana.uri, 'displayed')
    })
    const group = await stage.step('a group of the three', async () => {
      const id = await kim.startGroup({ title: 'Statuses' })
      for (const guest of [dana, kai]) await bringIn(kim, guest, id)
      await oneHead([dana, kim, kai], id)
      return id
    })
    await stage.step('in a group: each member has a state of its own', async () => {
      await bothWays(dana, kim, group, 'in the group')
      const id = await say(kim, group, 'who reads this?')
      await Promise.all([kim.status(id, dana.uri, 'sent'), kim.status(id, kai.uri, 'sent'), hears(kai, group, 'who reads this?')])
      await kai.displayed(group, id)
      await kim.status(id, kai.uri, 'displayed')
      const known = (await kim.call('status', group, id, dana.uri)) as { status: string } | null
      must(known?.status === 'sent', `the daemon has not read it, but is said to have: ${JSON.stringify(known)}`)
    })
  },
}
