// Who was away gets everything when it is back: messages, members, profile, edits, in order and once; both roles.
import type { Daemon } from '../lib/daemon.ts'
import { must, type Scenario } from '../lib/scenario.ts'
import type { Sdk } from '../lib/sdk.ts'
import { changed, oneHead, sameHistory, say, sdkStart, trio } from './sides.ts'

export const offlineCatchUp: Scenario = {
  name: 'offline-catch-up',
  about: 'a node of ours, then the daemon, then all but one are away while others write: all is there when they are back, once and in order, in one head',
  hosts: 4,
  budgetMs: { ci: 150_000, full: 300_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const count = stage.full ? 200 : 30
    const begin = await trio(stage)
    const { bootstrap, conversation } = begin
    let dana: Daemon = begin.dana
    let kim: Sdk = begin.kim
    let kai: Sdk = begin.kai
    await stage.step(`our Kai is away while the daemon and Kim write ${count} texts, an edit, a deletion and a new title; Kai has it all when back, each text once and in order`, async () => {
      await kai.stop()
      const texts: string[] = []
      for (let i = 0; i < count; i++) {
        texts.push(`away ${i}`)
        await say(i % 2 === 0 ? dana : kim, conversation, `away ${i}`)
        await oneHead([dana, kim], conversation)
      }
      const edited = await say(dana, conversation, 'to be edited')
      await changed(dana, conversation, () => dana.edit(conversation, edited, 'edited while you were away'))
      await oneHead([dana, kim], conversation)
      await kim.updateProfile(conversation, { title: 'Changed while you were away' })
      await oneHead([dana, kim], conversation)
      kai = await stage.sdk('kai', 4, sdkStart(bootstrap, 'kai'))
      await oneHead([dana, kim, kai], conversation)
      for (const text of texts) await kai.heard(conversation, text)
      const heard = kai.child.events.filter(({ line }) => line.signal === 'message').map(({ line }) => ((line.args as unknown[])[1] as { text: string }).text).filter((text) => text.startsWith('away '))
      must(heard.join() === texts.join(), `heard: ${heard.join()}`)
      must((await kai.profile(conversation)).title === 'Changed while you were away', 'another title')
      await sameHistory([dana, kim, kai], conversation)
    }, { timeoutMs: 90_000 })
    await stage.step('the daemon is away while ours write; it has it all when back', async () => {
      await dana.stop()
      for (let i = 0; i < count; i++) await say(i % 2 === 0 ? kai : kim, conversation, `without the daemon ${i}`)
      await oneHead([kim, kai], conversation)
      dana = await stage.daemon('dana', 2)
      await dana.resume()
      await oneHead([dana, kim, kai], conversation)
      await sameHistory([dana, kim, kai], conversation)
    }, { timeoutMs: 90_000 })
    await stage.step('each writes alone, one after the other, and they never meet in between; all come back to one head', async () => {
      await Promise.all([kai.stop(), dana.stop()])
      await say(kim, conversation, 'Kim alone')
      await kim.stop()
      kai = await stage.sdk('kai', 4, sdkStart(bootstrap, 'kai'))
      await say(kai, conversation, 'Kai alone')
      await kai.stop()
      dana = await stage.daemon('dana', 2)
      await dana.resume()
      await say(dana, conversation, 'Dana alone')
      ;[kim, kai] = await Promise.all([stage.sdk('kim', 3, sdkStart(bootstrap, 'kim')), stage.sdk('kai', 4, sdkStart(bootstrap, 'kai'))])
      await oneHead([dana, kim, kai], conversation)
      const texts = await kai.texts(conversation)
      for (const text of ['Kim alone', 'Kai alone', 'Dana alone']) must(texts.filter((one) => one === text).length === 1, `${text}: not once`)
      await sameHistory([dana, kim, kai], conversation)
    }, { timeoutMs: 90_000 })
  },
}
