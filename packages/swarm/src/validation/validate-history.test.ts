// What a fetch brings, as a whole: everything or nothing, signatures first, bounded work, and what certificates and clocks may say.
import { JamiError } from '@jamikit/core/base'
import { issueDeviceCertificate } from '@jamikit/core/identity'
import { ManualClock, SeededRandom, testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { receivedPack } from '../../test/received.ts'
import { accountPem, devicePem, START_S, Story } from '../../test/story.ts'
import { MAX_COMMIT_BYTES } from '../defaults.ts'
import { encodeTree, type GitObject, objectId, type Oid, TREE_MODE } from '../repo/object.ts'
import { validateHistory } from './validate-history.ts'

const alice = testIdentity(0).device
const bob = testIdentity(1).device
const carol = testIdentity(2).device

const validate = (story: Story, head = story.head, pack = receivedPack(story.objects)) =>
  validateHistory(story, { conversation: story.id as never, head, pack, known: undefined })
const why = async (work: Promise<unknown>): Promise<string> => work.then(() => 'accepted', (error: unknown) => (JamiError.is(error) ? `${error.code} ${error.message}` : String(error)))

async function friends(): Promise<Story> {
  const story = await Story.oneToOne(alice, bob)
  await story.join(bob)
  return story
}

describe('the whole of a fetch', () => {
  it('SWM-9 gives commits parents first with their proven authors, and exactly the objects that they need', async () => {
    const story = await friends()
    const base = story.head
    const left = await story.tell({ author: alice })
    const right = await story.tell({ author: bob, parents: [base], type: 'text/plain' })
    await story.tell({ author: alice, message: `Merge commit '${right}'`, parents: [left, right] })
    const junk = story.keep({ type: 'blob', data: new Uint8Array(10) })
    const { commits, used } = await validate(story)
    const at = new Map(commits.map(({ oid }, i) => [oid, i]))
    for (const { oid, parents } of commits) for (const parent of parents) expect(at.get(parent)).toBeLessThan(at.get(oid) ?? 0)
    expect(commits).toHaveLength(5)
    expect(commits.find(({ oid }) => oid === right)).toMatchObject({ author: bob.accountId, device: bob.deviceId })
    expect([...story.objects.keys()].filter((oid) => !used.has(oid))).toEqual([junk])
  })

  it('SWM-9 one bad commit among good ones: nothing, and the reason names it', async () => {
    const story = await friends()
    const bad = await story.tell({ author: bob, edits: { 'notes.txt': 'x' } })
    await story.tell({ author: bob })
    await expect(validate(story)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID', details: { commit: bad, path: 'notes.txt' } })
  })

  it('SWM-12 an object that a tree needs and the pack lacks', async () => {
    const story = await friends()
    await story.tell({ author: alice, type: 'application/update-profile', fields: {}, edits: { 'profile.vcf': 'BEGIN:VCARD' } })
    for (const [oid, { type, data }] of story.objects) if (type === 'blob' && new TextDecoder().decode(data) === 'BEGIN:VCARD') story.objects.delete(oid)
    expect(await why(validate(story))).toMatch(/ERR_REPO_INVALID .*missing/)
  })

  it('a commit longer than commits may be is not even read', async () => {
    const story = await friends()
    await story.tell({ author: bob, fields: { body: 'x'.repeat(MAX_COMMIT_BYTES) } })
    expect(await why(validate(story))).toMatch(/ERR_LIMIT/)
  })
})

describe('signatures', () => {
  it('SWM-12 SWM-S2 of every kind of commit are verified: message, member event, merge, first commit', async () => {
    const story = await friends()
    const base = story.head
    const forged = [
      await story.tell({ author: bob, signer: carol }),
      await story.tell({ author: bob, signer: carol, parents: [base], type: 'member', fields: { action: 'remove', uri: bob.accountId }, edits: { [`members/${bob.accountId}.crt`]: undefined } }),
      await story.tell({ author: bob, signer: carol, parents: [base], type: 'application/update-profile', fields: {} }),
      await story.tell({ author: alice, parents: [base] }).then(async (left) => {
        const right = await story.tell({ author: bob, parents: [base], fields: { body: 'right' } })
        return story.tell({ author: alice, signer: carol, parents: [left, right], message: 'Merge commit' })
      }),
    ]
    for (const head of forged) expect(await why(validate(story, head))).toMatch(/ERR_REPO_INVALID .*signature/)
    const root = await Story.oneToOne(alice, bob)
    const first = await root.tell({ author: alice, signer: carol, type: 'initial', fields: { mode: '0', invited: bob.accountId }, parents: [], tree: root.treeOf(root.head) })
    const found = await validateHistory(root, { conversation: first as never, head: first, pack: receivedPack(root.objects), known: undefined }).catch((e: unknown) => e)
    expect(JamiError.is(found, 'ERR_REPO_INVALID') && found.message).toMatch(/signature/)
  })

  it('SWM-S11 come before trees: a commit of nobody over a tree that means a million entries costs its author’s look-up only', async () => {
    const story = await friends()
    let inner = story.treeOf(story.head)
    for (let depth = 0; depth < 6; depth++) {
      const object: GitObject = { type: 'tree', data: encodeTree(Array.from({ length: 12 }, (_, i) => ({ mode: TREE_MODE, name: `d${i}`, oid: inner }))) }
      inner = story.keep(object)
    }
    const devices = story.keep({ type: 'tree', data: encodeTree([{ mode: '100644', name: `${bob.deviceId}.crt`, oid: story.keep({ type: 'blob', data: new TextEncoder().encode(devicePem(bob)) }) }]) })
    const members = story.keep({ type: 'tree', data: encodeTree([{ mode: '100644', name: `${bob.accountId}.crt`, oid: story.keep({ type: 'blob', data: new TextEncoder().encode(accountPem(bob)) }) }]) })
    const tree = story.keep({ type: 'tree', data: encodeTree([{ mode: TREE_MODE, name: 'deep', oid: inner }, { mode: TREE_MODE, name: 'devices', oid: devices }, { mode: TREE_MODE, name: 'members', oid: members }]) })
    const base = story.head
    const forged = await story.tell({ author: bob, signer: carol, parents: [base], tree })
    const pack = receivedPack(story.objects)
    expect(await why(validate(story, forged, pack))).toMatch(/signature/)
    expect(pack.reads).toBeLessThan(40)
    const signed = await story.tell({ author: bob, parents: [base], tree })
    expect(await why(validate(story, signed))).toMatch(/ERR_LIMIT/)
  })
})

describe('certificates and clocks', () => {
  const env = { crypto: new Story().crypto, clock: new Story().clock, random: new SeededRandom(1) }

  it('SWM-S10 a commit hours before its certificate began is fine: clocks differ, and no peer looks at the beginning', async () => {
    const story = await friends()
    const before = Math.floor((bob.chain[0].notBeforeMs - 3 * 3_600_000) / 1000)
    await story.tell({ author: bob, timeS: before })
    expect(await why(validate(story))).toBe('accepted')
  })

  it('SWM-12 a commit after the end of its device certificate, or of the account certificate alone', async () => {
    const story = await friends()
    const base = story.head
    const [own, account] = bob.chain
    if (!account) throw new Error('an account certificate expected')
    const late = new ManualClock({ wallTimeMs: account.notAfterMs - 365 * 86_400_000 })
    const renewed = await issueDeviceCertificate({ ...env, clock: late }, { accountKey: testIdentity(1).accountKey, account, devicePublicKey: bob.privateKey.publicKey })
    expect(renewed.notAfterMs).toBeGreaterThan(account.notAfterMs)
    const edits = { [`devices/${bob.deviceId}.crt`]: renewed.pem }
    const at = async (ms: number, more: { edits?: Record<string, string> } = {}) => why(validate(story, await story.tell({ author: bob, parents: [base], timeS: Math.floor(ms / 1000), ...more })))
    expect(await at(own.notAfterMs + 1000)).toMatch(/expired/)
    expect(await at(account.notAfterMs + 1000, { edits })).toMatch(/expired/)
    expect([await at(own.notAfterMs), await at(account.notAfterMs, { edits })]).toEqual(['accepted', 'accepted'])
  })

  it('SWM-S1 a device certificate in the name of an account that did not sign it', async () => {
    const story = await friends()
    const thief = testIdentity(2)
    const [, account] = alice.chain
    if (!account) throw new Error('an account certificate expected')
    const forged = await issueDeviceCertificate(env, {
      accountKey: thief.accountKey, account: { ...account, publicKey: thief.accountKey.publicKey }, devicePublicKey: carol.privateKey.publicKey,
    })
    expect(forged.issuerUid).toBe(alice.accountId)
    await story.tell({ author: carol, edits: { [`devices/${carol.deviceId}.crt`]: forged.pem } })
    expect(await why(validate(story))).toMatch(/did not certify/)
  })

  it('SWM-12 an author without certificate, with that of another device, of an account that is no member', async () => {
    const story = await friends()
    const base = story.head
    await story.tell({ author: carol })
    expect(await why(validate(story))).toMatch(/no certificate/)
    await story.tell({ author: carol, parents: [base], edits: { [`devices/${carol.deviceId}.crt`]: devicePem(bob) } })
    expect(await why(validate(story))).toMatch(/another device/)
    await story.tell({ author: carol, parents: [base], edits: { [`devices/${carol.deviceId}.crt`]: devicePem(carol) } })
    expect(await why(validate(story))).toMatch(/not a member/)
    await story.tell({ author: carol, parents: [base], edits: { [`devices/${carol.deviceId}.crt`]: devicePem(carol), [`members/${carol.accountId}.crt`]: accountPem(bob) } })
    expect(await why(validate(story))).toMatch(/another account/)
    await story.tell({ author: bob, parents: [base], edits: { [`devices/${bob.deviceId}.crt`]: 'junk' } })
    expect(await why(validate(story))).toMatch(/not a certificate/)
  })
})

describe('edits', () => {
  it('of an own message before it, through any number of commits; of one beside it, of somebody else’s, of another kind: refused', async () => {
    const story = await friends()
    const own = await story.tell({ author: bob })
    const call = await story.tell({ author: bob, type: 'application/call-history+json', fields: { to: alice.accountId } })
    const hers = await story.tell({ author: alice })
    for (let i = 0; i < 30; i++) await story.tell({ author: alice })
    const base = story.head
    const edit = (target: Oid) => story.tell({ author: bob, parents: [base], fields: { body: 'y', edit: target } }).then((head) => why(validate(story, head)))
    expect(await edit(own)).toBe('accepted')
    expect(await edit(hers)).toMatch(/somebody else/)
    expect(await edit(call)).toMatch(/edit: of a/)
    expect(await edit('f'.repeat(40))).toMatch(/not among those before/)
    const beside = await story.tell({ author: bob, parents: [hers] })
    const wrong = await story.tell({ author: bob, parents: [base], fields: { body: 'y', edit: beside } })
    const merge = await story.tell({ author: bob, parents: [wrong, beside], message: 'Merge commit' })
    expect(await why(validate(story, merge))).toMatch(/not among those before/)
  })
})

describe('merges', () => {
  it('SWM-12 hold what one of the two has, for every file; three parents are refused', async () => {
    const story = await friends()
    const base = story.head
    const profile = await story.tell({ author: alice, type: 'application/update-profile', fields: {}, edits: { 'profile.vcf': 'one' } })
    const text = await story.tell({ author: bob, parents: [base] })
    await story.tell({ author: bob, parents: [text, profile], message: 'Merge commit', tree: story.treeOf(profile) })
    expect(await why(validate(story))).toBe('accepted')
    await story.tell({ author: bob, parents: [text, profile], message: 'Merge commit', edits: { 'profile.vcf': 'two' } })
    expect(await why(validate(story))).toMatch(/neither parent/)
    await story.tell({ author: bob, parents: [text, profile, base], message: 'Merge commit' })
    expect(await why(validate(story))).toMatch(/ERR_REPO_INVALID/)
  })

  it('a second root, a root of another conversation, a missing parent', async () => {
    const story = await friends()
    const base = story.head
    await story.tell({ author: bob, parents: [], tree: story.treeOf(base) })
    expect(await why(validate(story))).toMatch(/initial commit/)
    await story.tell({ author: bob, parents: ['b'.repeat(40)], tree: story.treeOf(base) })
    expect(await why(validate(story))).toMatch(/missing/)
    expect(await why(validateHistory(story, { conversation: 'c'.repeat(40) as never, head: base, pack: receivedPack(story.objects), known: undefined }))).toMatch(/initial commit/)
  })
})

it('SWM-11 a thousand commits in a row are validated with a bounded number of reads each', async () => {
  const story = await friends()
  for (let i = 0; i < 1000; i++) await story.tell({ author: i % 2 === 0 ? alice : bob, timeS: START_S + 10 })
  const pack = receivedPack(story.objects)
  const { commits } = await validate(story, story.head, pack)
  expect(commits).toHaveLength(1002)
  expect(pack.reads).toBeLessThan(2_100)
  expect(objectId(story.objects.get(story.head) as GitObject)).toBe(story.head)
}, 30_000)
