// Contacts are removed and added again, in every order, by either side or both: in the end both speak in one and the same 1:1.
import { type Daemon, vcard } from '../lib/daemon.ts'
import { eventually, type Scenario } from '../lib/scenario.ts'
import type { Sdk } from '../lib/sdk.ts'
import { befriend, cast, headOf, hears, isSdk, oneHead, sameHistory, say, type Side } from './sides.ts'

const remove = (side: Side, uri: string) => (isSdk(side) ? side.call('removeContact', uri, false) : side.call('removeContact', side.account, uri, false))
const add = (side: Side, uri: string) => (isSdk(side) ? side.call('addContact', uri) : side.call('sendTrustRequest', side.account, uri, vcard(side.label)))

/** The 1:1 that the contact leads to. */
async function current(side: Side, uri: string): Promise<string> {
  if (isSdk(side)) return String(await side.call('linkedWith', uri))
  const details = (await side.call('getContactDetails', side.account, uri)) as Record<string, string>
  return details.removed === undefined || details.removed === '0' ? (details.conversationId ?? '') : ''
}

/** Accepts on both sides whatever request is open, until both contacts lead to one conversation that both have with the same head. */
async function meet(dana: Daemon, kim: Sdk): Promise<string> {
  let seen: string[] = []
  const id = await eventually('one 1:1', async () => {
    const [asksDana, asksKim] = await Promise.all([dana.call('getTrustRequests', dana.account) as Promise<{ from: string }[]>, kim.call('openRequests') as Promise<string[]>])
    if (asksDana.some(({ from }) => from === kim.uri)) await dana.accept(kim.uri)
    if (asksKim.includes(dana.uri)) await kim.accept(dana.uri)
    seen = await Promise.all([current(dana, kim.uri), current(kim, dana.uri)])
    return seen[0] !== '' && seen[0] === seen[1] && seen[0]
  }, 45_000, 200).catch((error: unknown) => {
    throw new Error(`the daemon speaks in ${seen[0]}, we in ${seen[1]}`, { cause: error })
  })
  await oneHead([dana, kim], id)
  return id
}

async function talk(dana: Daemon, kim: Sdk, id: string, what: string): Promise<void> {
  await say(kim, id, `ours, ${what}`)
  await hears(dana, id, `ours, ${what}`)
  await say(dana, id, `theirs, ${what}`)
  await hears(kim, id, `theirs, ${what}`)
  await oneHead([dana, kim], id)
  await sameHistory([dana, kim], id)
}

export const duplicate1to1: Scenario = {
  name: 'duplicate-1to1',
  notInCi: 'which of two conversations the daemon ends in is not settled in every order',
  about: 'the daemon, our node, then both remove the contact and add it again, in each order; both end in one 1:1, and texts go both ways; both at once: nothing is lost',
  hosts: 3,
  budgetMs: { ci: 240_000, full: 300_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const { daemons: { dana }, nodes: { kim } } = await stage.step('a DHT, a daemon and one of our nodes are up', () => cast(stage, ['dana'], ['kim']))
    await stage.step('they are contacts and talk', async () => talk(dana, kim, await befriend(kim, dana), 'at first'))
    const orders: readonly (readonly [string, readonly (() => Promise<unknown>)[]])[] = [
      ['our node removes the daemon and adds it again', [() => remove(kim, dana.uri), () => add(kim, dana.uri)]],
      ['the daemon removes our node and adds it again', [() => remove(dana, kim.uri), () => add(dana, kim.uri)]],
      ['both remove each other, our node adds', [() => remove(kim, dana.uri), () => remove(dana, kim.uri), () => add(kim, dana.uri)]],
      ['both remove each other, the daemon adds', [() => remove(dana, kim.uri), () => remove(kim, dana.uri), () => add(dana, kim.uri)]],
    ]
    for (const [what, deeds] of orders) {
      await stage.step(`SWM-31 ${what}: one 1:1 on both sides, and texts go both ways`, async () => {
        for (const deed of deeds) await deed()
        await talk(dana, kim, await meet(dana, kim), what)
      }, { timeoutMs: 90_000 })
    }
    await stage.step('both remove each other and both ask at once: whatever each says where it speaks is heard by the other', async () => {
      await Promise.all([remove(kim, dana.uri), remove(dana, kim.uri)])
      await Promise.all([add(kim, dana.uri), add(dana, kim.uri)])
      for (const [from, to] of [[kim, dana], [dana, kim]] as readonly (readonly [Side, Side])[]) {
        const id = await eventually(`both in the 1:1 of ${from.label}`, async () => {
          const one = await current(from, to.uri)
          return one !== '' && (await headOf(to, one)) !== '' && (await headOf(to, one)) === (await headOf(from, one)) && one
        })
        await say(from, id, `crossed, says ${from.label}`)
        await hears(to, id, `crossed, says ${from.label}`)
        await oneHead([from, to], id)
      }
    }, { timeoutMs: 90_000 })
  },
}
