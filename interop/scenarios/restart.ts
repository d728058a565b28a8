// Each side is stopped, written to, and started again; both histories end equal.
import type { Scenario } from '../lib/scenario.ts'
import { befriendedPair, bothHave, judge } from './pair.ts'

export const restart: Scenario = {
  name: 'restart',
  about: 'each side is stopped, written to, and started again; both histories end equal, git fsck --strict',
  hosts: 3,
  budgetMs: { ci: 180_000, full: 300_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const pair = await befriendedPair(stage)
    const { conversation, sdkStart } = pair
    let { daemon, sdk } = pair
    const wanted: string[] = []
    const say = async (side: { send(conversation: string, text: string): Promise<unknown> }, text: string) => {
      wanted.push(text)
      await side.send(conversation, text)
    }
    await stage.step('texts both ways before any stop', async () => {
      await say(sdk, 'before, ours')
      await daemon.heard(conversation, 'before, ours')
      await say(daemon, 'before, theirs')
      await bothHave(daemon, sdk, conversation, wanted)
    })
    await stage.step('our node stops; the daemon writes; our node starts and has it all', async () => {
      await sdk.stop()
      for (let i = 0; i < 3; i++) await say(daemon, `while ours was down ${i}`)
      sdk = await stage.sdk('sdk', 3, sdkStart)
      await bothHave(daemon, sdk, conversation, wanted)
      for (let i = 0; i < 3; i++) await sdk.heard(conversation, `while ours was down ${i}`)
    })
    await stage.step('the daemon stops; our node writes; the daemon starts and has it all', async () => {
      await daemon.stop()
      for (let i = 0; i < 3; i++) await say(sdk, `while theirs was down ${i}`)
      daemon = await stage.daemon('daemon', 2)
      await daemon.resume()
      await bothHave(daemon, sdk, conversation, wanted)
    })
    await stage.step('both stop after both wrote alone; both start; one head', async () => {
      await sdk.stop()
      await say(daemon, 'alone, theirs')
      await daemon.heard(conversation, 'alone, theirs') // it commits on another thread: stopped before, it would never have written it
      await daemon.stop()
      sdk = await stage.sdk('sdk', 3, sdkStart)
      await say(sdk, 'alone, ours')
      daemon = await stage.daemon('daemon', 2)
      await daemon.resume()
      await bothHave(daemon, sdk, conversation, wanted)
    })
    await stage.step('texts both ways after it all', async () => {
      await say(sdk, 'after, ours')
      await say(daemon, 'after, theirs')
      await bothHave(daemon, sdk, conversation, wanted)
    })
    await stage.step('our node is killed with SIGKILL, starts again, and has it all', async () => {
      sdk.child.kill()
      await sdk.child.exited
      await say(daemon, 'after the kill')
      sdk = await stage.sdk('sdk', 3, sdkStart)
      await bothHave(daemon, sdk, conversation, wanted)
    })
    await stage.step('both histories are equal, and git fsck --strict finds nothing in ours', () => judge(daemon, sdk, conversation))
  },
}
