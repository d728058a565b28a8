// A history whose newest part breaks the rules: what was there stays, can be read and written on, and the reason is told once, with the commit.
// docs/protocol/04 §3.8, §4.7, trap S16.
import { JamiError, silentLogger } from '@jamikit/core/base'
import type { ConversationId, DeviceIdentity } from '@jamikit/core/contracts'
import { SeededRandom } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { crypto } from '../../test/harness.ts'
import { memoryFiles, type MemoryFiles } from '../../test/memory.ts'
import { alice, bob, carol, text, texts, World } from '../../test/world.ts'
import { MAX_TOLD_PROBLEMS } from '../defaults.ts'
import { ObjectCache } from '../repo/object-cache.ts'
import { Conversation } from './conversation.ts'
import { Events } from './events.ts'
import { printCommitNotice } from './small-payloads.ts'
import type { SwarmConversations } from './swarm.ts'
import { emptyFile } from './writer.ts'

/** Writes what no rule allows into what somebody keeps, as a hostile program would. */
async function poison(world: World, who: DeviceIdentity, storage: MemoryFiles, id: ConversationId): Promise<string> {
  const conversation = await Conversation.open({
    clock: world.clock, random: new SeededRandom(1), crypto, logger: silentLogger, identity: who, displayName: () => '', storage, files: storage.files(`a/conversations/${id}`), prefix: `a/conversation/${id}`,
    cache: new ObjectCache(1 << 20), maxBytes: 1 << 30, onProblem: () => {},
  }, id)
  const change = await conversation?.change(async () => ({ ...{ body: text('poisoned') }, edits: new Map([['evil.txt', emptyFile()]]) }))
  await conversation?.close()
  return change?.head ?? ''
}

async function leave(world: World, who: DeviceIdentity, conversations: SwarmConversations): Promise<void> {
  await conversations.stop()
  await world.messages.messengers.get(who.deviceId)?.stop()
  await world.clock.run(world.network.managers.get(who.deviceId)?.stop() ?? Promise.resolve())
}

it('SWM-S16 SWM-13 of a conversation that is here is refused as a whole; it can be read and written, and the reason is told once for a head', async () => {
  const world = new World()
  const storage = memoryFiles()
  const [a, b] = [await world.join(alice), await world.join(bob, { storage })]
  const problems: JamiError[] = []
  a.onProblem(({ error }) => problems.push(error as JamiError))
  world.meet(alice, bob)
  const id = await a.create({ mode: 2 })
  await a.invite(id, bob.accountId)
  await world.clock.advance(1000)
  await b.accept({ conversation: id, from: alice.accountId })
  await world.clock.advance(10_000)
  await a.append(id, text('before'))
  await world.clock.advance(10_000)
  const head = a.get(id)?.head
  await leave(world, bob, b)
  const evil = await poison(world, bob, storage, id)
  const again = await world.join(bob, { storage })
  world.meet(alice, bob)
  await world.clock.advance(10_000)
  expect([again.get(id)?.head, a.get(id)?.head]).toEqual([evil, head])
  for (let n = 0; n < 3; n++) {
    await world.tell(alice, bob, 'application/im-gitmessage-id', printCommitNotice({ conversation: id, commit: evil as never, device: bob.deviceId }))
    await world.clock.advance(120_000)
  }
  expect(problems.map(({ code, details }) => [code, details.commit])).toEqual([['ERR_REPO_INVALID', evil]])
  expect(problems[0]?.message).toContain('evil.txt')
  await a.append(id, text('after'))
  expect(await texts(a, id)).toEqual(['before', 'after'])
})

it('SWM-13 of an invitation is tried three times, then told and left alone until it is accepted again', async () => {
  const world = new World()
  const storage = memoryFiles()
  const a = await world.join(alice, { storage })
  const id = await a.create({ mode: 2 })
  await a.invite(id, carol.accountId)
  await leave(world, alice, a)
  await poison(world, alice, storage, id)
  await world.join(alice, { storage })
  const c = await world.join(carol)
  const problems: JamiError[] = []
  c.onProblem(({ error }) => problems.push(error as JamiError))
  world.meet(alice, carol)
  let served = 0
  const connections = world.network.managers.get(carol.deviceId)
  const open = connections?.openChannel.bind(connections)
  if (connections && open) connections.openChannel = async (...args) => {
    served++
    return open(...args)
  }
  await c.accept({ conversation: id, from: alice.accountId, mode: 2 })
  await world.clock.advance(86_400_000)
  expect([served, c.get(id)?.state, problems.map(({ code, details }) => [code, details.failures])]).toEqual([3, 'cloning', [['ERR_REPO_INVALID', 3]]])
  await c.accept({ conversation: id, from: alice.accountId, mode: 2 })
  await world.clock.advance(86_400_000)
  expect([served, problems.length]).toEqual([6, 2])
  await c.remove(id)
  expect(c.list()).toEqual([])
})

it('problems that were told are remembered up to a bound, the oldest out; that something is given up is told each time', () => {
  const events = new Events(silentLogger)
  let told = 0
  events.problem.listen(() => told++)
  const problem = (n: number, more = {}) => events.tellProblem('c'.repeat(40) as ConversationId, new JamiError('ERR_REPO_INVALID', 'x', { details: { commit: `${n}`, ...more } }))
  for (let n = 0; n <= MAX_TOLD_PROBLEMS; n++) problem(n)
  problem(MAX_TOLD_PROBLEMS)
  expect(told).toBe(MAX_TOLD_PROBLEMS + 1)
  problem(0)
  for (let n = 0; n < 2; n++) problem(1, { failures: 3 })
  expect(told).toBe(MAX_TOLD_PROBLEMS + 4)
})
