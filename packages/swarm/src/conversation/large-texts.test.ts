// Commits that are as large as may be: whoever looks at many of them lets other work of the process have its turn between them.
import { testIdentity } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { person } from '../../test/harness.ts'
import { receivedPack } from '../../test/received.ts'
import { Story } from '../../test/story.ts'
import { turnsWhile } from '../../test/turns.ts'
import { validateHistory } from '../validation/validate-history.ts'
import { Conversation } from './conversation.ts'

const [alice, bob] = [testIdentity(0).device, testIdentity(1).device]
const TEXTS = 10

async function large(): Promise<Story> {
  const story = await Story.oneToOne(alice, bob)
  for (let i = 0; i < TEXTS; i++) await story.tell({ author: alice, fields: { body: `${i} `.padEnd(900_000, 'a') } })
  return story
}

it('work that a peer chooses the size of: validation counts the bytes of commits, not their number alone', async () => {
  const story = await large()
  expect(await turnsWhile(() => validateHistory(story, { conversation: story.id as never, head: story.head, pack: receivedPack(story.objects), known: undefined }))).toBeGreaterThanOrEqual(TEXTS)
})

it('work that a peer chooses the size of: reading entries one after the other, and looking whether a merge is due', async () => {
  const story = await large()
  const conversation = await Conversation.clone(person(bob)(story.id as never), story.id as never, story.head, receivedPack(story.objects), alice.accountId)
  const entries: string[] = []
  expect(await turnsWhile(async () => {
    for (const { oid } of [...story.objects].filter(([, { type }]) => type === 'commit').map(([oid]) => ({ oid }))) entries.push((await conversation.entry(oid))?.type ?? '')
  })).toBeGreaterThanOrEqual(TEXTS)
  expect(entries.filter((type) => type === 'text/plain')).toHaveLength(TEXTS)

  const other = await Story.oneToOne(alice, bob)
  const base = other.head
  const its = await Conversation.clone(person(bob)(other.id as never), other.id as never, base, receivedPack(other.objects), alice.accountId)
  for (let i = 0; i < TEXTS; i++) await other.tell({ author: alice, fields: { body: `${i} `.padEnd(900_000, 'a') } })
  const pack = receivedPack([...other.objects].filter(([oid]) => oid !== base).map(([, object]) => object))
  expect(await turnsWhile(() => its.diverged(other.head, pack))).toBeGreaterThanOrEqual(TEXTS / 4)
})
