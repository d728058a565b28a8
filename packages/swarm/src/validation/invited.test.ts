// A member who invites without end: what waits is bounded, so that whoever clones can take the history. docs/protocol/04 §3.5.2.
import { createHash } from 'node:crypto'
import { testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { receivedPack } from '../../test/received.ts'
import { Story } from '../../test/story.ts'
import { MAX_INVITED_AT_ONCE } from '../defaults.ts'
import { parseCommit } from '../repo/commit.ts'
import { validateHistory } from './validate-history.ts'

const [alice, bob] = [testIdentity(0).device, testIdentity(1).device]
const somebody = (i: number) => createHash('sha1').update(`${i}`).digest('hex')

/** The newest commit of a history whose earlier ones were taken before. */
const last = (story: Story) => {
  const pack = receivedPack(story.objects)
  const known = {
    rows: 9, has: (oid: string) => oid !== story.head && story.objects.has(oid), info: (oid: string) => ({ oid, tree: story.treeOf(oid), author: alice.accountId, row: 0 }),
    read: (oid: string) => pack.read(oid), stat: (oid: string) => pack.stat(oid), commit: async (oid: string) => parseCommit(story.objects.get(oid)?.data ?? new Uint8Array(0)),
  }
  return validateHistory(story, { conversation: story.id as never, head: story.head, pack, known: known as never })
}

describe('people who are invited and have not answered', () => {
  it.each([[MAX_INVITED_AT_ONCE - 1, 'taken'], [MAX_INVITED_AT_ONCE, 'refused']])('%d, and one more: %s', async (waiting, verdict) => {
    const story = await Story.group(alice)
    await story.tell({ author: alice, edits: Object.fromEntries(Array.from({ length: waiting }, (_, i) => [`invited/${somebody(i)}`, ''])) })
    await story.add(alice, bob)
    if (verdict === 'taken') await last(story)
    else await expect(last(story)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID', details: { rule: 'add', got: MAX_INVITED_AT_ONCE + 1, allowed: MAX_INVITED_AT_ONCE } })
  })
})
