// One conversation: what a clone counts as new to the program; heads that diverge, on a device that only reads and on a full disk.
import { JamiError } from '@jamikit/core/base'
import type { ConversationId } from '@jamikit/core/contracts'
import { testIdentity } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { alice, all, bob, carol, clock, cloneFor, create, exchange, pair, person } from '../../test/harness.ts'
import { memoryFiles } from '../../test/memory.ts'
import { receivedPack } from '../../test/received.ts'
import { parseBody } from '../repo/commit-body.ts'
import { flatten } from '../repo/repository.ts'
import { Conversation } from './conversation.ts'

async function newTexts(c: Conversation): Promise<string[]> {
  const out: string[] = []
  for await (const entry of c.unacknowledged()) if (entry.type === 'text/plain') out.push(entry.fields.body ?? '')
  return out
}

const text = (body: string) => ({ type: 'text/plain', fields: { body } })

it('what the inviter wrote before we joined is new', async () => {
  const ours = await create(alice, bob.accountId)
  await ours.append(text('before you came'), undefined)
  const theirs = await Conversation.clone(person(bob)(ours.id), ours.id, ours.head, receivedPack(await all(ours)), alice.accountId)
  expect(await newTexts(theirs)).toEqual(['before you came'])
})

it('what an account has answered on another device of its own is not new on a fresh one; what came after its last word is', async () => {
  const { ours, theirs } = await pair()
  await theirs.append(text('a question'), undefined)
  await exchange(theirs, ours)
  await ours.append(text('an answer'), undefined)
  await exchange(ours, theirs)
  await theirs.append(text('another question'), undefined)
  await exchange(theirs, ours)
  const laptop = testIdentity(0, 1).device
  const env = person(laptop)(ours.id)
  const fresh = await Conversation.clone(env, ours.id, ours.head, receivedPack(await all(ours)), bob.accountId)
  expect(await newTexts(fresh)).toEqual(['another question'])
  await theirs.append(text('a third'), undefined)
  await exchange(theirs, fresh)
  expect(await newTexts(fresh)).toEqual(['another question', 'a third'])
  const reopened = await Conversation.open(env, ours.id)
  expect(reopened && (await newTexts(reopened))).toEqual(['another question', 'a third'])
  await fresh.append(text('from the laptop'), undefined)
  await exchange(fresh, theirs)
  expect(theirs.head).toBe(fresh.head)
})

it('a device that has not written yet follows two writers who diverge, and takes their merge', async () => {
  const { ours, theirs } = await pair()
  const laptop = testIdentity(0, 1).device
  const fresh = await Conversation.clone(person(laptop)(ours.id), ours.id, ours.head, receivedPack(await all(ours)), bob.accountId)
  await ours.append(text('left'), undefined)
  await theirs.append(text('right'), undefined)
  await exchange(ours, fresh)
  const before = fresh.head
  await exchange(theirs, fresh)
  expect(fresh.head).toBe(before) // it may not merge: a merge holds content of its parents only, and its certificate is in neither
  await exchange(theirs, ours)
  await exchange(ours, fresh)
  expect(fresh.head).toBe(ours.head)
  expect((await newTexts(fresh)).sort()).toEqual(['right']) // 'left' is of this account
})

it('what cannot be written has not happened, whichever write fails: the same head is received again, and merged', async () => {
  for (let failing = 1, failed = true; failed; failing++) {
    const storage = memoryFiles()
    const env = person(alice, storage)
    const ours = await Conversation.create(env, env('' as ConversationId), bob.accountId)
    const theirs = await cloneFor(bob, ours)
    await theirs.join()
    await exchange(theirs, ours)
    await ours.append(text('left'), undefined)
    await theirs.append(text('right'), undefined)
    const before = ours.head
    let writes = 0
    storage.onWrite = () => {
      if (++writes === failing) throw new JamiError('ERR_STORAGE_IO', 'disk full')
    }
    const outcome = await exchange(theirs, ours).then(() => 'written', (error: unknown) => (JamiError.is(error) ? error.code : String(error)))
    failed = writes >= failing
    storage.onWrite = () => {}
    if (failed) expect([outcome, ours.head, ours.has(theirs.head)]).toEqual(['ERR_STORAGE_IO', before, false])
    await exchange(theirs, ours)
    await exchange(ours, theirs)
    expect(theirs.head).toBe(ours.head)
    expect(await newTexts(ours)).toEqual(['right'])
  }
})

it('a send that cannot be written was not sent, and the same key sends it once; a key is any text', async () => {
  for (const key of ['k', '1', '__proto__']) for (let failing = 1, failed = true; failed; failing++) {
    const storage = memoryFiles()
    const env = person(alice, storage)
    const ours = await Conversation.create(env, env('' as ConversationId), bob.accountId)
    let writes = 0
    storage.onWrite = () => {
      if (++writes === failing) throw new JamiError('ERR_STORAGE_IO', 'disk full')
    }
    const outcome = await ours.append(text('once'), key).then(({ id }) => id, () => undefined)
    failed = writes >= failing
    storage.onWrite = () => {}
    if (failed) expect([outcome, ours.head]).toEqual([undefined, ours.id])
    const { id } = await ours.append(text('once'), key)
    expect((await ours.append(text('once'), key)).id).toBe(id)
    const again = await Conversation.open(env(ours.id), ours.id)
    expect((await again?.append(text('once'), key))?.id).toBe(id)
    expect(ours.history.length).toBe(2)
  }
})

it('times never run backwards along the history: a slow clock writes the time of what it builds on, one that is years ahead is not followed', async () => {
  const { ours, theirs } = await pair()
  const at = (c: Conversation) => c.history.info(c.head)?.timeS ?? 0
  await theirs.append(text('now'), undefined)
  const day = 86_400
  const start = at(theirs)
  const env = { ...person(alice)(ours.id), clock: { ...clockAt(start - 3600) } }
  const slow = await Conversation.clone(env, ours.id, theirs.head, receivedPack(await all(theirs)), bob.accountId)
  await slow.append(text('an hour slow'), undefined)
  expect(at(slow)).toBe(start)
  const late = { ...person(alice)(ours.id), clock: clockAt(start - 2 * day) }
  const behind = await Conversation.clone(late, ours.id, theirs.head, receivedPack(await all(theirs)), bob.accountId)
  await behind.append(text('two days slow'), undefined)
  expect(at(behind)).toBeLessThan(start)
})

it('SWM-1 SWM-8 a new conversation has exactly the files of the specification, and its first commit is its id', async () => {
  const c = await create(alice, bob.accountId)
  const paths = await flatten((oid) => c.history.read(oid), c.history.at(0).tree)
  expect([...paths.keys()].sort()).toEqual([`admins/${alice.accountId}.crt`, `devices/${alice.deviceId}.crt`, `invited/${bob.accountId}`])
  expect([c.head, c.history.length]).toEqual([c.id, 1])
  expect(parseBody((await c.history.commit(c.id))?.message ?? '')).toEqual({ type: 'initial', fields: { mode: '0', invited: bob.accountId } })
})

it('SWM-4 SWM-5 a device brings its certificate with its first commit and only then; other messages leave the tree as it is', async () => {
  const { ours } = await pair()
  const laptop = testIdentity(0, 1).device
  const fresh = await Conversation.clone(person(laptop)(ours.id), ours.id, ours.head, receivedPack(await all(ours)), bob.accountId)
  const tree = () => fresh.history.info(fresh.head)?.tree ?? ''
  const brought = async () => (await flatten((oid) => fresh.history.read(oid), tree())).has(`devices/${laptop.deviceId}.crt`)
  expect(await brought()).toBe(false)
  await fresh.append(text('first'), undefined)
  expect(await brought()).toBe(true)
  const before = tree()
  await fresh.append(text('second'), undefined)
  expect(tree()).toBe(before)
})

it('SWM-7 commits of unknown types are kept, with their text members', async () => {
  const { ours, theirs } = await pair()
  await theirs.append({ type: 'application/x-new+json', fields: { body: 'b', colour: 'red' } }, undefined)
  await exchange(theirs, ours)
  expect(await ours.entry(ours.head)).toMatchObject({ type: 'application/x-new+json', fields: { body: 'b', colour: 'red' } })
})

it('SWM-13 ACC-S10 a clone whose root is another one, that we are not invited to, or that is not between the inviter and us is refused, and nothing is kept', async () => {
  const c = await create(alice, bob.accountId)
  const storage = memoryFiles()
  const clone = async (who: typeof bob, id: ConversationId, inviter: typeof bob) => Conversation.clone(person(who, storage)(id), id, c.head, receivedPack(await all(c)), inviter.accountId)
  await expect(clone(bob, 'c'.repeat(40) as ConversationId, alice)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
  await expect(clone(carol, c.id, alice)).rejects.toMatchObject({ code: 'ERR_NOT_MEMBER' })
  await expect(clone(bob, c.id, carol)).rejects.toMatchObject({ code: 'ERR_NOT_MEMBER' })
  expect([storage.contents.records.size, storage.contents.files.size]).toEqual([0, 0])
  await expect(clone(bob, c.id, alice)).resolves.toMatchObject({ id: c.id })
})

/** The clock of the harness, set to another time. */
function clockAt(timeS: number) {
  return { now: () => clock.now(), after: clock.after.bind(clock), track: clock.track.bind(clock), wallTimeMs: () => timeS * 1000 }
}
