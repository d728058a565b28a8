// A daemon and our node ask each other at the same time: two conversations exist, and what one says in either is read by the other.
import { must, type Scenario } from '../lib/scenario.ts'
import { bothHave, judge, strangers } from './pair.ts'

export const crossing: Scenario = {
  name: 'crossing',
  about: 'both sides send a contact request at once; every conversation that comes of it works in both directions',
  hosts: 3,
  budgetMs: { ci: 150_000, full: 200_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const { daemon, sdk } = await stage.step('a daemon and our node announce their accounts on one DHT', () => strangers(stage))
    const [theirs, ours] = await stage.step('both ask at once, and nobody has to accept', async () => {
      const made = await Promise.all([daemon.sendRequest(sdk.uri, 'Dana'), sdk.addContact(daemon.uri)])
      must(made[0] !== made[1], 'one conversation of two requests')
      return made
    })
    await stage.step('the daemon has joined our conversation', async () => {
      await Promise.all([daemon.ready(ours), sdk.joined(ours, daemon.uri)])
    })
    for (const [name, id] of [['theirs', theirs], ['ours', ours]] as const) {
      await stage.step(`a text each way in ${name}; both histories are equal`, async () => {
        await daemon.send(id, `dana in ${name}`) // also tells us of their conversation, should their request have been lost
        await sdk.heard(id, `dana in ${name}`)
        await sdk.send(id, `kit in ${name}`)
        await daemon.heard(id, `kit in ${name}`)
        await bothHave(daemon, sdk, id, [`kit in ${name}`, `dana in ${name}`])
        await judge(daemon, sdk, id)
      })
    }
    await stage.step('the conversation that we speak in with the contact is one of the two', async () => {
      const id = await sdk.call('conversationWith', daemon.uri)
      must(id === theirs || id === ours, `conversation ${String(id)}`)
    })
  },
}
