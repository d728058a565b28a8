// Groups told commit by commit, and what validation of their whole history says.
import { JamiError } from '@jamikit/core/base'
import { testIdentity } from '@jamikit/core/testing'
import { validateHistory } from '../src/validation/validate-history.ts'
import { receivedPack } from './received.ts'
import { Story } from './story.ts'

export const alice = testIdentity(0).device // made it, admin
export const alice2 = testIdentity(0, 1).device
export const bob = testIdentity(1).device // member
export const bob2 = testIdentity(1, 1).device
export const carol = testIdentity(2).device // member
export const dave = testIdentity(3).device // invited

export const whole = (story: Story, head = story.head) => validateHistory(story, { conversation: story.id as never, head, pack: receivedPack(story.objects), known: undefined })

/** `accepted`, or the rule and the reason. */
export async function verdict(story: Story, head = story.head): Promise<string> {
  try {
    await whole(story, head)
    return 'accepted'
  } catch (error) {
    if (!JamiError.is(error, 'ERR_REPO_INVALID')) throw error
    return `${String(error.details.rule)}: ${error.message}`
  }
}

/** Alice's group with Bob and Carol in it; Dave is invited. */
export async function group(mode = 2): Promise<Story> {
  const story = await Story.group(alice, mode)
  for (const who of [bob, carol]) {
    await story.add(alice, who)
    await story.join(who)
  }
  await story.add(bob, dave)
  return story
}

export const crt = (place: string, of: { accountId: string }): string => `${place}/${of.accountId}.crt`
/** The id of an empty file. */
export const EMPTY = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
