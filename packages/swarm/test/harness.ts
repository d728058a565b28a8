// What the tests of conversations share: identities of the pool as people, conversations of two, captured bundles.
import { type JamiError, silentLogger } from '@jamikit/core/base'
import type { AccountUri, ConversationId, DeviceIdentity, Storage } from '@jamikit/core/contracts'
import { SeededRandom, testCrypto } from '@jamikit/core/testing'
import { Conversation, type ConversationEnv } from '../src/conversation/conversation.ts'
import { ObjectCache } from '../src/repo/object-cache.ts'
import { type GitObject, objectId, type Oid } from '../src/repo/object.ts'
import { memoryFiles } from './memory.ts'
import { reachableObjects } from './packs.ts'
import { alice, bob, carol, clock } from './people.ts'
import { receivedPack } from './received.ts'

export { alice, bob, carol, clock }
export { bundle } from './vectors.ts'

export const crypto = testCrypto()
/** What conversations of this harness reported. */
export const problems: JamiError[] = []

export function person(identity: DeviceIdentity, storage: Storage = memoryFiles()): (id: ConversationId) => ConversationEnv {
  return (id) => ({
    clock, random: new SeededRandom(identity.deviceId), crypto, logger: silentLogger, cache: new ObjectCache(1 << 20), maxBytes: 2 ** 30, onProblem: (error) => problems.push(error), identity, displayName: () => 'Somebody', storage, files: storage.files(`conversations/${id || 'new'}`), prefix: `conversation/${id}`,
  })
}

export async function create(owner: DeviceIdentity, peer: AccountUri): Promise<Conversation> {
  const env = person(owner)
  return Conversation.create(env, env('' as ConversationId), peer)
}

/** Everything a conversation has, as a fetch would bring it. */
export async function all(c: Conversation): Promise<Map<Oid, GitObject>> {
  const objects = await reachableObjects(c.history, c.head)
  return new Map(objects.map((o) => [objectId(o), o]))
}

export async function cloneFor(who: DeviceIdentity, c: Conversation): Promise<Conversation> {
  return Conversation.clone(person(who)(c.id), c.id, c.head, receivedPack(await all(c)), alice.accountId)
}

/** Alice's conversation with Bob, both joined, and Bob's replica of it. */
export async function pair(): Promise<{ ours: Conversation; theirs: Conversation }> {
  const ours = await create(alice, bob.accountId)
  const theirs = await cloneFor(bob, ours)
  await theirs.join()
  await exchange(theirs, ours)
  return { ours, theirs }
}

export async function exchange(from: Conversation, to: Conversation): Promise<void> {
  await to.receive(from.head, receivedPack(await all(from)))
}
