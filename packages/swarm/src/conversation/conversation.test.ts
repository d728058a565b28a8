// One conversation: what a clone counts as new to the program.
import { testIdentity } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { alice, all, bob, create, exchange, pair, person } from '../../test/harness.ts'
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

it('what an account has on another device of its own is not new on a fresh one, and what comes later is', async () => {
  const { ours, theirs } = await pair()
  await theirs.append(text('an old message'), undefined)
  await exchange(theirs, ours)
  const laptop = testIdentity(0, 1).device
  const env = person(laptop)(ours.id)
  const fresh = await Conversation.clone(env, ours.id, ours.head, await all(ours), bob.accountId)
  expect(await newTexts(fresh)).toEqual([])
  await theirs.append(text('a new message'), undefined)
  await exchange(theirs, fresh)
  expect(await newTexts(fresh)).toEqual(['a new message'])
  const reopened = await Conversation.open(env, ours.id)
  expect(reopened && (await newTexts(reopened))).toEqual(['a new message'])
  await fresh.append(text('from the laptop'), undefined)
  await exchange(fresh, theirs)
  expect(theirs.head).toBe(fresh.head)
})
