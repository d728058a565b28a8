// What is said while the other side is down arrives when it comes back, and delivered() tells the difference.
import { must, rejection, type Scenario } from '../lib/scenario.ts'
import { bothHave, strangers } from './pair.ts'

export const offlineFirst: Scenario = {
  name: 'offline-first',
  about: 'request and messages sent while the peer is down are delivered after it comes back',
  hosts: 3,
  budgetMs: { ci: 180_000, full: 300_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const { sdk: first, sdkStart, daemon: one } = await stage.step('a daemon and our node announce their accounts on one DHT', () => strangers(stage))
    let sdk = first
    let daemon = one
    const conversation = await stage.step('a contact request sent while the daemon is down reaches it when it is back', async () => {
      const uri = daemon.uri
      await daemon.stop()
      const id = await sdk.addContact(uri)
      daemon = await stage.daemon('daemon', 2)
      await daemon.resume()
      await daemon.request(sdk.uri)
      await daemon.accept(sdk.uri)
      await Promise.all([daemon.ready(id), sdk.joined(id, uri)])
      return id
    })
    await stage.step('a message to the daemon that is down stays undelivered, then is delivered', async () => {
      await daemon.stop()
      const id = await sdk.send(conversation, 'read this later')
      const refused = await rejection(sdk.call('delivered', conversation, id, 1500))
      must(refused.code === 'ERR_TIMEOUT', `code ${refused.code}: ${refused.message}`)
      const delivered = sdk.call('delivered', conversation, id, 60_000)
      daemon = await stage.daemon('daemon', 2)
      await daemon.resume()
      await delivered
      await bothHave(daemon, sdk, conversation, ['read this later'])
    })
    await stage.step('a message of the daemon to our node that is down is an event when it is back', async () => {
      await sdk.stop()
      await daemon.send(conversation, 'for later, too')
      sdk = await stage.sdk('sdk', 3, sdkStart)
      await sdk.heard(conversation, 'for later, too', { timeoutMs: 60_000 })
      await bothHave(daemon, sdk, conversation, ['read this later', 'for later, too'])
    })
  },
}
