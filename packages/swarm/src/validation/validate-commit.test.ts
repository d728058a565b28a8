// Every refusal of the checklist, one by one, and what real daemons wrote. docs/protocol/04 §3, §12.2.
import { JamiError } from '@jamikit/core/base'
import { concatBytes, fromUtf8, utf8 } from '@jamikit/core/codec'
import { testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { bundle } from '../../test/harness.ts'
import { receivedPack } from '../../test/received.ts'
import { accountPem, devicePem, Story, type Telling } from '../../test/story.ts'
import { parseCommit } from '../repo/commit.ts'
import { parseBody } from '../repo/commit-body.ts'
import { type GitObject, objectId } from '../repo/object.ts'
import { validateHistory } from './validate-history.ts'

const alice = testIdentity(0).device
const bob = testIdentity(1).device
const carol = testIdentity(2).device

const validate = (story: Story, head: string, conversation = story.id) => validateHistory(story, { conversation: conversation as never, head, pack: receivedPack(story.objects), known: undefined })

async function verdict(story: Story, head: string, conversation?: string): Promise<string> {
  try {
    await validate(story, head, conversation)
    return 'accepted'
  } catch (error) {
    if (!JamiError.is(error, 'ERR_REPO_INVALID')) throw error
    return error.message
  }
}

type Forgery = Partial<Telling> & { mangle?: (bytes: Uint8Array) => Uint8Array }

async function forged({ mangle, ...telling }: Forgery): Promise<{ story: Story; head: string }> {
  const story = await Story.oneToOne(alice, bob)
  await story.join(bob)
  await story.tell({ author: bob, ...telling })
  if (!mangle) return { story, head: story.head }
  const commit = story.objects.get(story.head) as GitObject
  return { story, head: story.keep({ type: 'commit', data: mangle(commit.data) }) }
}

describe('what real daemons wrote', () => {
  it('SWM-10 SWM-11 SWM-6 a captured one-to-one history is accepted: texts, edits, reactions, files, calls, merges', async () => {
    const objects = bundle('one-to-one')
    const head = 'a09a793834990546becd9bb24d8f1940004ebca0'
    const id = 'e4c43c847d7d89b06787bde573abede603d7d975'
    const { crypto, clock } = new Story()
    const { commits, used } = await validateHistory({ crypto, clock }, { conversation: id as never, head, pack: receivedPack(objects), known: undefined })
    const all = [...objects.values()].filter((o) => o.type === 'commit').map((o) => parseCommit(o.data))
    expect(commits).toHaveLength(all.length)
    expect(new Set(commits.map(({ author }) => author)).size).toBe(2)
    expect(used.size).toBe(objects.size)
    const types = new Set(all.map((c) => (c.parents.length > 1 ? 'merge' : parseBody(c.message).type)))
    expect([...types].sort()).toEqual(expect.arrayContaining(['application/data-transfer+json', 'initial', 'member', 'merge', 'text/plain']))
  })

  it('SWM-10 SWM-11 a captured group history is accepted: invitations, joins, profile, call, vote and ban', async () => {
    const objects = bundle('group-mode-2')
    const all = [...objects].flatMap(([oid, o]) => (o.type === 'commit' ? [{ oid, ...parseCommit(o.data) }] : []))
    const parents = new Set(all.flatMap((commit) => commit.parents))
    const head = all.find(({ oid }) => !parents.has(oid))?.oid ?? ''
    const { crypto, clock } = new Story()
    const { commits, used } = await validateHistory({ crypto, clock }, { conversation: 'ed132670692ce7ea7b728ac6d8022bd5d1aba670' as never, head, pack: receivedPack(objects), known: undefined })
    expect(commits).toHaveLength(all.length)
    expect(used.size).toBe(objects.size)
    expect(new Set(commits.map(({ author }) => author)).size).toBe(3)
    const types = new Set(all.map(({ message }) => parseBody(message)).map(({ type, fields }) => `${type} ${fields.action ?? ''}`.trim()))
    expect([...types].sort()).toEqual(expect.arrayContaining(['application/call-history+json', 'application/update-profile', 'initial', 'member add', 'member ban', 'member join', 'text/plain', 'vote']))
  })
})

describe('what is refused', () => {
  const cases: [string, Forgery, RegExp][] = [
    ['SWM-12 a signature of another device', { signer: carol }, /signature/],
    ['SWM-12 no signature', { mangle: (b) => utf8(fromUtf8(b).replace(/signature .*\n/, '')) }, /no signature/],
    ['SWM-S13 a signature only inside the message', { mangle: (b) => utf8(fromUtf8(b).replace(/(signature .*\n)\n([\s\S]*)$/, '\n$2\n$1')) }, /no signature/],
    ['SWM-2 two signature headers', { mangle: (b) => utf8(fromUtf8(b).replace(/(signature .*\n)/, '$1$1')) }, /repeated/],
    ['SWM-S12 a NUL byte', { mangle: (b) => concatBytes(b, Uint8Array.of(0)) }, /NUL/],
    ['a changed message under an old signature', { mangle: (b) => utf8(fromUtf8(b).replace('"hi"', '"ho"')) }, /signature/],
    ['an author that is no device id', { mangle: (b) => utf8(fromUtf8(b).replaceAll(bob.deviceId, 'bob@example')) }, /device id/],
    ['SWM-12 an author without certificate', { author: carol }, /no certificate/],
    ['SWM-S1 a device certificate that names a member but was issued by somebody else', { author: carol, edits: { [`devices/${carol.deviceId}.crt`]: devicePem(carol) } }, /not a member/],
    ['SWM-12 an email that is not the certificate key', { author: carol, edits: { [`devices/${carol.deviceId}.crt`]: devicePem(bob) } }, /another device/],
    ['SWM-S3 a file that does not belong there', { edits: { 'notes.txt': 'x' } }, /notes\.txt/],
    ['SWM-S3 a binary file', { edits: { 'x.bin': Uint8Array.of(0, 1, 2) } }, /x\.bin/],
    ["SWM-12 somebody else's certificate taken away", { edits: { [`devices/${alice.deviceId}.crt`]: undefined } }, /devices/],
    ["SWM-12 somebody else's certificate changed", { edits: { [`admins/${alice.accountId}.crt`]: accountPem(carol) } }, /admins/],
    ['SWM-12 a third person added to a one-to-one', { type: 'member', fields: { action: 'add', uri: carol.accountId }, edits: { [`invited/${carol.accountId}`]: '' } }, /third person/],
    ['SWM-12 an add of oneself', { type: 'member', fields: { action: 'add', uri: bob.accountId }, edits: { [`invited/${bob.accountId}`]: '' } }, /oneself/],
    ['SWM-12 a join without invitation', { type: 'member', fields: { action: 'join', uri: bob.accountId } }, /invitation/],
    ['SWM-S4 a removal of somebody else', { type: 'member', fields: { action: 'remove', uri: alice.accountId }, edits: { [`admins/${alice.accountId}.crt`]: undefined } }, /somebody else/],
    ['SWM-12 an unknown member action', { type: 'member', fields: { action: 'promote', uri: bob.accountId } }, /action/],
    ['SWM-12 a uri with a scheme', { type: 'member', fields: { action: 'join', uri: `jami:${bob.accountId}` } }, /uri/],
    ['SWM-12 a vote in a one-to-one', { type: 'vote', fields: { uri: alice.accountId } }, /one-to-one/],
    ['SWM-12 a profile by a member who is no admin', { type: 'application/update-profile', fields: {}, edits: { 'profile.vcf': 'x' } }, /admin/],
    ['SWM-12 an edit of what does not exist', { fields: { body: 'x', edit: 'a'.repeat(40) } }, /edit/],
    ['SWM-12 an empty type', { type: '', fields: { body: 'x' } }, /type/],
    ['a merge message on a commit with one parent', { message: 'Merge commit x' }, /type/],
    ['a second first commit', { type: 'initial', fields: { mode: '0', invited: bob.accountId } }, /type/],
    ['SWM-12 a message that is no JSON', { message: 'hello' }, /JSON/],
    ['SWM-12 a member of the wrong JSON type', { message: '{"type":"text/plain","body":{"a":1}}' }, /body/],
    ['a parent that is missing', { parents: ['b'.repeat(40)], tree: objectId({ type: 'tree', data: new Uint8Array(0) }) }, /missing/],
    ['a tree that is missing', { tree: 'b'.repeat(40) }, /missing/],
    ['SWM-12 a merge of three', { message: 'Merge commit', parents: ['b'.repeat(40), 'c'.repeat(40), 'd'.repeat(40)], tree: objectId({ type: 'tree', data: new Uint8Array(0) }) }, /missing|two parents/],
  ]
  for (const [title, forgery, why] of cases) it(title, async () => {
    const { story, head } = await forged(forgery)
    expect(await verdict(story, head)).toMatch(why)
  })

  it('SWM-12 a first commit of an unknown mode, without invited person, or with a file too many', async () => {
    const good = { [`admins/${alice.accountId}.crt`]: accountPem(alice), [`devices/${alice.deviceId}.crt`]: devicePem(alice), [`invited/${bob.accountId}`]: '' }
    const root = async (fields: Record<string, string>, edits: Record<string, string | undefined> = good) => {
      const story = new Story()
      const head = await story.tell({ author: alice, type: 'initial', fields, parents: [], edits })
      return verdict(story, head, head)
    }
    expect(await root({ mode: '0', invited: bob.accountId })).toBe('accepted')
    expect(await root({ mode: '7', invited: bob.accountId })).toMatch(/mode 7/)
    expect(await root({ invited: bob.accountId })).toMatch(/mode/)
    expect(await root({ mode: '0' })).toMatch(/invited account/)
    expect(await root({ mode: '0', invited: bob.accountId }, { ...good, 'profile.vcf': 'x' })).toMatch(/profile\.vcf/)
    expect(await root({ mode: '0', invited: bob.accountId }, { ...good, [`invited/${bob.accountId}`]: 'x' })).toMatch(/empty/)
    expect(await root({ mode: '0', invited: carol.accountId })).toMatch(/invited/)
    expect(await root({ mode: '0', invited: bob.accountId }, { ...good, [`invited/${bob.accountId}`]: undefined })).toMatch(/invitation is missing/)
    const { [`admins/${alice.accountId}.crt`]: admin, ...rest } = good
    expect(await root({ mode: '0', invited: bob.accountId }, { ...rest, [`members/${alice.accountId}.crt`]: admin })).toMatch(/not the admin/)
  })
})
