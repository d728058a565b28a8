// What the tests of conversations share: identities of the pool as people, forged commits, captured bundles.
import { silentLogger } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { AccountUri, ConversationId, DeviceIdentity, Storage } from '@jamikit/core/contracts'
import { testCrypto } from '@jamikit/core/testing'
import { Conversation, type ConversationEnv } from '../src/conversation/conversation.ts'
import { signedCommit, unsignedCommit } from '../src/repo/commit.ts'
import { printBody } from '../src/repo/commit-body.ts'
import { type GitObject, objectId, type Oid } from '../src/repo/object.ts'
import { buildTrees, type Paths } from '../src/repo/repository.ts'
import { memoryFiles } from './memory.ts'
import { reachableObjects } from './packs.ts'
import { alice, bob, carol, clock } from './people.ts'

export { alice, bob, carol, clock }
export { bundle } from './vectors.ts'

export const crypto = testCrypto()

export function person(identity: DeviceIdentity, storage: Storage = memoryFiles()): (id: ConversationId) => ConversationEnv {
  return (id) => ({
    clock, crypto, logger: silentLogger, identity, displayName: () => 'Somebody', storage, files: storage.files(`conversations/${id || 'new'}`), prefix: `conversation/${id}`,
  })
}

export async function create(owner: DeviceIdentity, peer: AccountUri): Promise<Conversation> {
  const env = person(owner)
  return Conversation.create(env, env('' as ConversationId), peer)
}

/** Everything a conversation has, as a fetch would bring it. */
export async function all(c: Conversation): Promise<Map<Oid, GitObject>> {
  const objects = await reachableObjects(c.repository, c.head)
  return new Map(objects.map((o) => [objectId(o), o]))
}

export async function cloneFor(who: DeviceIdentity, c: Conversation): Promise<Conversation> {
  return Conversation.clone(person(who)(c.id), c.id, c.head, await all(c), alice.accountId)
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
  await to.receive(from.head, await all(from))
}

export interface Forgery {
  /** Who the commit says wrote it. */
  author?: DeviceIdentity
  /** Who really signs; the author when left out. */
  signer?: DeviceIdentity
  type?: string
  fields?: Record<string, string>
  message?: string
  parents?: readonly Oid[]
  change?: (paths: Map<string, Oid>, add: (path: string, content: Uint8Array | string) => void) => void
  timeS?: number
  mangle?: (bytes: Uint8Array) => Uint8Array
}

/** A commit on top of a conversation as a hostile member could make it, with all objects that go with it. */
export async function forge(c: Conversation, f: Forgery): Promise<{ head: Oid; objects: Map<Oid, GitObject> }> {
  const author = f.author ?? bob
  const objects = await all(c)
  const paths: Map<string, Oid> = new Map(await c.repository.headPaths())
  const keep = (o: GitObject) => objects.set(objectId(o), o)
  f.change?.(paths, (path, content) => {
    const o: GitObject = { type: 'blob', data: typeof content === 'string' ? utf8(content) : content }
    keep(o)
    paths.set(path, objectId(o))
  })
  const trees = buildTrees(paths as Paths)
  for (const o of trees.objects) keep(o)
  const unsigned = unsignedCommit({
    tree: trees.root, parents: f.parents ?? [c.head], name: 'Somebody', device: author.deviceId, timeS: f.timeS ?? Math.floor(clock.wallTimeMs() / 1000),
    message: f.message ?? printBody({ type: f.type ?? 'text/plain', fields: f.fields ?? { body: 'hi' } }),
  })
  const signed = signedCommit(unsigned, await crypto.sign((f.signer ?? author).privateKey, unsigned))
  const commit: GitObject = { type: 'commit', data: f.mangle?.(signed) ?? signed }
  keep(commit)
  return { head: objectId(commit), objects }
}
