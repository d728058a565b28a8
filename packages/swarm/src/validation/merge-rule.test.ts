// A merge that takes back what one side did: a ban, a leave. docs/protocol/04 §3.6.
import type { DeviceIdentity } from '@jamikit/core/contracts'
import { testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { receivedPack } from '../../test/received.ts'
import { Story } from '../../test/story.ts'
import { validateHistory } from './validate-history.ts'

const [alice, bob, carol] = [0, 1, 2].map((i) => testIdentity(i).device) as [DeviceIdentity, DeviceIdentity, DeviceIdentity]
const valid = (story: Story) => validateHistory(story, { conversation: story.id as never, head: story.head, pack: receivedPack(story.objects), known: undefined })

async function group(): Promise<Story> {
  const story = await Story.group(alice)
  for (const who of [bob, carol]) {
    await story.add(alice, who)
    await story.join(who)
  }
  return story
}

describe('a merge that undoes what one side did', () => {
  it.each([
    ['the banned person', bob],
    ['a friend of his', carol],
  ])('a ban: %s merges it with an old commit and keeps the old tree: refused', async (_, author) => {
    const story = await group()
    const old = story.head
    const oldTree = story.treeOf(old)
    const text = await story.tell({ author: bob })
    const ban = await story.ban(alice, bob, 'members')
    await story.tell({ author, message: 'Merge', parents: [text, ban], tree: oldTree }) // a fast-forward dressed up as a merge
    await expect(valid(story)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID', details: { rule: 'merge' } })
    await story.tell({ author: bob, parents: [text] })
    await story.tell({ author, message: 'Merge', parents: [ban, story.head], tree: oldTree })
    await expect(valid(story)).rejects.toMatchObject({ details: { rule: 'merge', path: expect.stringContaining(bob.accountId) } })
  })

  it('the ban of an invitation, of a device, and a leave: refused', async () => {
    for (const undone of [(s: Story) => s.ban(alice, testIdentity(3).device, 'invited'), (s: Story) => s.ban(alice, bob, 'devices'), (s: Story) => s.leave(bob)]) {
      const story = await group()
      await story.add(alice, testIdentity(3).device)
      const base = story.head
      const tree = story.treeOf(base)
      const left = await undone(story)
      const right = await story.tell({ author: carol, parents: [base] })
      await story.tell({ author: carol, message: 'Merge', parents: [left, right], tree })
      await expect(valid(story)).rejects.toMatchObject({ details: { rule: 'merge' } })
    }
  })

  it('one side that unbans, or where somebody comes back, has its way', async () => {
    const story = await group()
    const base = await story.ban(alice, bob)
    const tree = story.treeOf(await story.unban(alice, bob))
    const left = story.head
    const right = await story.tell({ author: carol, parents: [base] })
    await story.tell({ author: carol, message: 'Merge', parents: [right, left], tree })
    await valid(story)
  })

  it('a merge of a merge is asked of what both sides share, not of what is older', async () => {
    const story = await group()
    const base = story.head
    const tree = story.treeOf(base)
    await story.ban(alice, bob)
    const back = await story.unban(alice, bob)
    const ban = await story.ban(alice, bob) // `banned/` was there before, and is new all the same
    const right = await story.tell({ author: carol, parents: [back] })
    await story.tell({ author: carol, message: 'Merge', parents: [ban, right], tree })
    await expect(valid(story)).rejects.toMatchObject({ details: { rule: 'merge' } })
  })
})
