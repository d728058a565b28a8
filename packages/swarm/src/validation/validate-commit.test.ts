import { JamiError } from '@jamikit/core/base'
import { concatBytes, fromUtf8, utf8 } from '@jamikit/core/codec'
import { accountUriOf, issueDeviceCertificate } from '@jamikit/core/identity'
import { SeededRandom, testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { alice, all, bob, bundle, carol, clock, create, cloneFor, crypto, exchange, forge, type Forgery, pair, person } from '../../test/harness.ts'
import { Conversation } from '../conversation/conversation.ts'
import { parseCommit } from '../repo/commit.ts'
import { parseBody } from '../repo/commit-body.ts'
import { objectId } from '../repo/object.ts'

async function refused(f: Forgery, why: RegExp): Promise<void> {
  const { ours } = await pair()
  const before = ours.head
  const { head, objects } = await forge(ours, f)
  const error: unknown = await ours.receive(head, objects).then(() => undefined, (e: unknown) => e)
  expect(JamiError.is(error, 'ERR_REPO_INVALID') ? error.message : String(error)).toMatch(why)
  expect(ours.head).toBe(before)
  expect(ours.has(head)).toBe(false)
}

const accountPem = (who: typeof bob) => who.chain.slice(1).map((c) => c.pem).join('')
const devicePem = (who: typeof bob) => who.chain[0].pem

describe('what real daemons wrote', () => {
  it('SWM-10 SWM-11 SWM-6 accepts a captured one-to-one history: texts, edits, reactions, files, calls, merges', async () => {
    const objects = bundle('one-to-one')
    const head = 'a09a793834990546becd9bb24d8f1940004ebca0'
    const id = 'e4c43c847d7d89b06787bde573abede603d7d975'
    const members = new Set<string>()
    for (const o of objects.values()) if (o.type === 'commit') members.add(parseCommit(o.data).device)
    const env = person(alice)(id as never)
    // neither side is in our pool: the clone must fail only because we are not invited, after every commit was found good
    await expect(Conversation.clone(env, id as never, head, objects, bob.accountId)).rejects.toMatchObject({ code: 'ERR_NOT_MEMBER' })
    expect(members.size).toBeGreaterThan(1)
    const types = new Set([...objects.values()].filter((o) => o.type === 'commit').map((o) => parseCommit(o.data)).map((c) => (c.parents.length > 1 ? 'merge' : parseBody(c.message).type)))
    expect([...types].sort()).toEqual(expect.arrayContaining(['application/data-transfer+json', 'initial', 'member', 'merge', 'text/plain']))
  })

  it('refuses a captured group conversation as a one-to-one', async () => {
    const objects = bundle('group-mode-2')
    const id = 'ed132670692ce7ea7b728ac6d8022bd5d1aba670'
    const head = [...objects].filter(([, o]) => o.type === 'commit').map(([oid]) => oid).find((oid) => ![...objects.values()].some((o) => o.type === 'commit' && parseCommit(o.data).parents.includes(oid))) ?? ''
    await expect(Conversation.clone(person(alice)(id as never), id as never, head, objects, bob.accountId)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
  })
})

describe('what is accepted', () => {
  it('SWM-5 an ordinary message leaves the tree as it is', async () => {
    const { ours } = await pair()
    await ours.append({ type: 'text/plain', fields: { body: 'first' } }, undefined)
    const tree = ours.repository.commit(ours.head)?.tree
    await ours.append({ type: 'text/plain', fields: { body: 'second' } }, undefined)
    expect(ours.repository.commit(ours.head)?.tree).toBe(tree)
  })

  it('SWM-1 SWM-8 a new conversation has exactly the files of the specification, and its first commit is its id', async () => {
    const c = await create(alice, bob.accountId)
    expect([...(await c.repository.headPaths()).keys()].sort()).toEqual([`admins/${alice.accountId}.crt`, `devices/${alice.deviceId}.crt`, `invited/${bob.accountId}`])
    expect(c.head).toBe(c.id)
    expect(parseBody(c.repository.commit(c.id)?.message ?? '')).toEqual({ type: 'initial', fields: { mode: '0', invited: bob.accountId } })
  })

  it('SWM-4 a device brings its certificate with its first commit, and only then', async () => {
    const { ours, theirs } = await pair()
    expect((await ours.repository.headPaths()).has(`devices/${bob.deviceId}.crt`)).toBe(true)
    await theirs.append({ type: 'text/plain', fields: { body: 'x' } }, undefined)
    await exchange(theirs, ours)
    expect(ours.head).toBe(theirs.head)
  })

  it('SWM-7 keeps commits of unknown types with their text members', async () => {
    const { ours } = await pair()
    const { head, objects } = await forge(ours, { type: 'application/x-new+json', fields: { body: 'b', colour: 'red' } })
    await ours.receive(head, objects)
    expect(await ours.entry(head)).toMatchObject({ type: 'application/x-new+json', fields: { colour: 'red' } })
  })

  it('an edit of an own message', async () => {
    const { ours, theirs } = await pair()
    const { id } = await theirs.append({ type: 'text/plain', fields: { body: 'tpyo' } }, undefined)
    await exchange(theirs, ours)
    const { head, objects } = await forge(ours, { fields: { body: 'typo', edit: id } })
    await ours.receive(head, objects)
    expect(ours.head).toBe(head)
  })
})

describe('what is refused, with main where it was', () => {
  const cases: [string, Forgery, RegExp][] = [
    ['SWM-12 a signature of another device', { signer: carol }, /signature/],
    ['SWM-12 no signature', { mangle: (b) => utf8(fromUtf8(b).replace(/signature .*\n/, '')) }, /no signature/],
    ['SWM-S13 a signature only inside the message', { mangle: (b) => utf8(fromUtf8(b).replace(/(signature .*\n)\n([\s\S]*)$/, '\n$2\n$1')) }, /no signature/],
    ['SWM-2 two signature headers', { mangle: (b) => utf8(fromUtf8(b).replace(/(signature .*\n)/, '$1$1')) }, /repeated/],
    ['SWM-S12 a NUL byte', { mangle: (b) => concatBytes(b, Uint8Array.of(0)) }, /NUL/],
    ['a changed message under an old signature', { mangle: (b) => utf8(fromUtf8(b).replace('"hi"', '"ho"')) }, /signature/],
    ['an author that is no device id', { mangle: (b) => utf8(fromUtf8(b).replaceAll(bob.deviceId, 'bob@example')) }, /device id/],
    ['SWM-12 an author without certificate', { author: carol }, /no certificate/],
    ['SWM-S1 a device certificate that names a member but was issued by somebody else', {
      author: carol, change: (_p, add) => add(`devices/${carol.deviceId}.crt`, devicePem(carol)),
    }, /not a member/],
    ['SWM-12 an email that is not the certificate key', { author: carol, change: (_p, add) => add(`devices/${carol.deviceId}.crt`, devicePem(bob)) }, /another device/],
    ['SWM-S3 a file that does not belong there', { change: (_p, add) => add('notes.txt', 'x') }, /notes\.txt/],
    ['SWM-S3 a binary file', { change: (_p, add) => add('x.bin', Uint8Array.of(0, 1, 2)) }, /x\.bin/],
    ["SWM-12 somebody else's certificate taken away", { change: (p) => void p.delete(`devices/${alice.deviceId}.crt`) }, /devices/],
    ["SWM-12 somebody else's certificate changed", { change: (_p, add) => add(`admins/${alice.accountId}.crt`, accountPem(carol)) }, /admins/],
    ['SWM-12 a third person added to a one-to-one', {
      type: 'member', fields: { action: 'add', uri: carol.accountId }, change: (_p, add) => add(`invited/${carol.accountId}`, ''),
    }, /third person/],
    ['SWM-12 an add of oneself', { type: 'member', fields: { action: 'add', uri: bob.accountId }, change: (_p, add) => add(`invited/${bob.accountId}`, '') }, /oneself/],
    ['SWM-12 a join without invitation', { type: 'member', fields: { action: 'join', uri: bob.accountId } }, /invitation/],
    ['SWM-S4 a removal of somebody else', { type: 'member', fields: { action: 'remove', uri: alice.accountId }, change: (p) => void p.delete(`admins/${alice.accountId}.crt`) }, /somebody else/],
    ['SWM-12 an unknown member action', { type: 'member', fields: { action: 'promote', uri: bob.accountId } }, /action/],
    ['SWM-12 a uri with a scheme', { type: 'member', fields: { action: 'join', uri: `jami:${bob.accountId}` } }, /uri/],
    ['SWM-12 a vote in a one-to-one', { type: 'vote', fields: { uri: alice.accountId } }, /one-to-one/],
    ['SWM-12 a profile by a member who is no admin', { type: 'application/update-profile', fields: {}, change: (_p, add) => add('profile.vcf', 'x') }, /admin/],
    ['SWM-12 an edit of what does not exist', { fields: { body: 'x', edit: 'a'.repeat(40) } }, /edit/],
    ['SWM-12 an empty type', { type: '', fields: { body: 'x' } }, /type/],
    ['SWM-12 a message that is no JSON', { message: 'hello' }, /JSON/],
    ['SWM-12 a member of the wrong JSON type', { message: '{"type":"text/plain","body":{"a":1}}' }, /body/],
    ['SWM-S10 a commit from before its certificate', { timeS: 1_000_000 }, /not valid/],
    ['a second root', { parents: [] }, /root|missing|author/],
    ['a parent that is missing', { parents: ['b'.repeat(40)] }, /missing/],
  ]
  for (const [title, forgery, why] of cases) it(title, () => refused(forgery, why))

  it('SWM-S1 a device certificate in the name of an account that did not sign it', async () => {
    const { ours } = await pair()
    const thief = testIdentity(2)
    const [, account] = alice.chain
    if (!account) throw new Error('an account certificate expected')
    const env = { crypto, clock, random: new SeededRandom(1) }
    const forged = await issueDeviceCertificate(env, {
      accountKey: thief.accountKey, account: { ...account, publicKey: thief.accountKey.publicKey }, devicePublicKey: carol.privateKey.publicKey,
    })
    expect(forged.issuerUid).toBe(alice.accountId)
    const { head, objects } = await forge(ours, { author: carol, change: (_p, add) => add(`devices/${carol.deviceId}.crt`, forged.pem) })
    await expect(ours.receive(head, objects)).rejects.toThrow(/did not certify/)
  })

  it('SWM-12 an edit of a message of somebody else', async () => {
    const { ours } = await pair()
    const { id } = await ours.append({ type: 'text/plain', fields: { body: 'mine' } }, undefined)
    const { head, objects } = await forge(ours, { fields: { body: 'yours', edit: id } })
    await expect(ours.receive(head, objects)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
  })

  it('SWM-12 a merge that holds content of neither parent', async () => {
    const { ours, theirs } = await pair()
    await ours.append({ type: 'text/plain', fields: { body: 'a' } }, undefined)
    await theirs.append({ type: 'text/plain', fields: { body: 'b' } }, undefined)
    const side = await all(theirs)
    const { head, objects } = await forge(ours, { message: `Merge commit '${theirs.head}'`, parents: [ours.head, theirs.head], change: (_p, add) => add('profile.vcf', 'new') })
    await expect(ours.receive(head, new Map([...side, ...objects]))).rejects.toThrow(/neither parent/)
  })

  it('SWM-12 a merge of three', async () => {
    const { ours } = await pair()
    const { head, objects } = await forge(ours, { message: 'Merge commit', parents: [ours.head, ours.id, ours.id] })
    await expect(ours.receive(head, objects)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
  })

  it('SWM-9 a good commit on top of a bad one: nothing of it is kept', async () => {
    const { ours } = await pair()
    const bad = await forge(ours, { change: (_p, add) => add('extra', 'x') })
    const good = await forge(ours, { parents: [bad.head] })
    const before = ours.head
    await expect(ours.receive(good.head, new Map([...bad.objects, ...good.objects]))).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
    expect([ours.head, ours.has(good.head), ours.has(bad.head)]).toEqual([before, false, false])
  })

  it('SWM-S2 a first commit whose signature does not verify', async () => {
    const c = await create(alice, bob.accountId)
    const objects = await all(c)
    const root = objects.get(c.id)
    const forged = { type: 'commit' as const, data: utf8(fromUtf8(root?.data ?? new Uint8Array(0)).replace(/Somebody/, 'Nobody')) }
    const id = objectId(forged)
    objects.set(id, forged)
    await expect(Conversation.clone(person(bob)(id as never), id as never, id, objects, alice.accountId)).rejects.toThrow(/signature/)
  })

  it('SWM-13 a clone whose root is not the conversation, or that we are not invited to', async () => {
    const c = await create(alice, bob.accountId)
    await expect(Conversation.clone(person(bob)('c'.repeat(40) as never), 'c'.repeat(40) as never, c.head, await all(c), alice.accountId)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
    await expect(cloneFor(carol, c)).rejects.toMatchObject({ code: 'ERR_NOT_MEMBER' })
  })

  it('ACC-S10 a clone that is not between the inviter and us', async () => {
    const c = await create(alice, bob.accountId)
    await expect(Conversation.clone(person(bob)(c.id), c.id, c.head, await all(c), carol.accountId)).rejects.toMatchObject({ code: 'ERR_NOT_MEMBER' })
  })

  it('SWM-12 a pack that leaves out what a tree needs', async () => {
    const { ours } = await pair()
    const { head, objects } = await forge(ours, { change: (_p, add) => add('profile.vcf', 'x') })
    for (const [oid, o] of objects) if (o.type === 'blob' && fromUtf8(o.data) === 'x') objects.delete(oid)
    await expect(ours.receive(head, objects)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
  })
})

it('the account of a commit comes from certificates, not from names', async () => {
  const { ours } = await pair()
  const entry = await ours.entry(ours.head)
  expect(entry?.author).toBe(accountUriOf(bob.chain[1]?.publicKey ?? new Uint8Array(0)))
})
