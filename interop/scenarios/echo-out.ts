// Our node sends the contact request; messages cross in both directions, and both repositories end as one.
import { must, type Scenario } from '../lib/scenario.ts'
import { bothHave, judge, judgeStopped, strangers } from './pair.ts'

const MESSAGES = 20

export const echoOut: Scenario = {
  name: 'echo-out',
  about: `our node sends the request; ${MESSAGES} messages each way, crossing; one head, git fsck --strict`,
  hosts: 3,
  budgetMs: { ci: 120_000, full: 240_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const { daemon, sdk } = await stage.step('a daemon and our node announce their accounts on one DHT', () => strangers(stage))
    const conversation = await stage.step('the daemon shows our contact request with our vCard', async () => {
      const id = await sdk.addContact(daemon.uri)
      const request = await daemon.request(sdk.uri)
      must(request.conversation === id, `conversation ${request.conversation} instead of ${id}`)
      must(request.payload.includes('FN:Kit'), `payload without our name: ${request.payload.slice(0, 200)}`)
      return id
    })
    await stage.step('the daemon accepts, clones our conversation and joins', async () => {
      await daemon.accept(sdk.uri)
      await Promise.all([daemon.ready(conversation), sdk.joined(conversation, daemon.uri)])
    })
    await stage.step('a text each way, and delivered() says so', async () => {
      const id = await sdk.send(conversation, 'hello daemon')
      await daemon.heard(conversation, 'hello daemon')
      await sdk.call('delivered', conversation, id, 20_000)
      await daemon.send(conversation, 'hello jamikit')
      await sdk.heard(conversation, 'hello jamikit')
    })
    const wanted = ['hello daemon', 'hello jamikit']
    await stage.step(`${MESSAGES} texts each way at once end up in both repositories under one head`, async () => {
      for (let i = 0; i < MESSAGES; i++) {
        wanted.push(`ours ${i}`, `theirs ${i}`)
        await Promise.all([sdk.send(conversation, `ours ${i}`), daemon.send(conversation, `theirs ${i}`)])
      }
      await bothHave(daemon, sdk, conversation, wanted)
    })
    await stage.step('every text of the daemon was an event of ours, once', async () => {
      for (let i = 0; i < MESSAGES; i++) {
        await sdk.heard(conversation, `theirs ${i}`)
        const times = sdk.child.events.filter((event) => event.line.signal === 'message' && JSON.stringify(event.line.args).includes(`"theirs ${i}"`)).length
        must(times === 1, `"theirs ${i}" came ${times} times`)
      }
    })
    await stage.step('both histories are equal, and git fsck --strict finds nothing in ours', () => judge(daemon, sdk, conversation))
    await stage.step('our node ends by itself after close()', () => sdk.stop())
    await stage.step('git fsck --strict finds nothing in the profile that it leaves', async () => judgeStopped(daemon, sdk, conversation))
  },
}
