// One conversation: what a clone counts as new to the program; heads that diverge, on a device that only reads and on a full disk.
import { JamiError } from '@jamikit/core/base'
import type { ConversationId } from '@jamikit/core/contracts'
import { testIdentity } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { alice, all, bob, cloneFor, create, exchange, pair, person } from '../../test/harness.ts'
import { memoryFiles } from '../../test/memory.ts'
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
  const theirs = await Conversation.clone(person(bob)(ours.id), ours.id, ours.head, await all(ours), alice.accountId)
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
  const fresh = await Conversation.clone(env, ours.id, ours.head, await all(ours), bob.accountId)
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
  const fresh = await Conversation.clone(person(laptop)(ours.id), ours.id, ours.head, await all(ours), bob.accountId)
  await ours.append(text('left'), undefined)
  await theirs.append(text('right'), undefined)
  await exchange(ours, fresh)
  const before = fresh.head
  await exchange(theirs, fresh)
  await exchange(theirs, fresh)
  expect(fresh.head).toBe(before) // it may not merge: a merge holds content of its parents only, and its certificate is in neither
  await exchange(theirs, ours)
  await exchange(ours, fresh)
  expect(fresh.head).toBe(ours.head)
  expect((await newTexts(fresh)).sort()).toEqual(['right']) // 'left' is of this account
})

it('a merge that cannot be written leaves the head where it was, and the same head can be received again', async () => {
  const storage = memoryFiles()
  const env = person(alice, storage)
  const ours = await Conversation.create(env, env('' as ConversationId), bob.accountId)
  const theirs = await cloneFor(bob, ours)
  await theirs.join()
  await exchange(theirs, ours)
  await ours.append(text('left'), undefined)
  await theirs.append(text('right'), undefined)
  const before = ours.head
  let refs = 0
  storage.onWrite = (path) => {
    if (path === 'refs/heads/main' && ++refs === 2) throw new JamiError('ERR_STORAGE_IO', 'disk full')
  }
  await expect(exchange(theirs, ours)).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
  expect(ours.head).toBe(before)
  storage.onWrite = () => {}
  await ours.receive(theirs.head, new Map()) // everything is here already
  await exchange(ours, theirs)
  expect(theirs.head).toBe(ours.head)
  expect(await newTexts(ours)).toEqual(['right'])
})
