// Groups and documents, judged as whole histories with real signatures: what is accepted, how votes are counted, what a refusal says.
// docs/protocol/04 §3.4–3.6, §12.2 item 11, traps S5, S16, Appendix B.5, D.1.
import { JamiError } from '@jamikit/core/base'
import { issueDeviceCertificate } from '@jamikit/core/identity'
import { SeededRandom, testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { alice, alice2, bob, carol, crt, dave, EMPTY, group, verdict, whole } from '../../test/groups.ts'
import { knownOf } from '../../test/known.ts'
import { receivedPack } from '../../test/received.ts'
import { accountPem, devicePem, type Story } from '../../test/story.ts'
import { validateHistory } from './validate-history.ts'

describe('what is accepted', () => {
  it('SWM-11 a message without a change of the tree, and the first of a device with its certificate', async () => {
    const story = await group()
    await story.tell({ author: bob })
    await story.tell({ author: alice2, edits: { [`devices/${alice2.deviceId}.crt`]: devicePem(alice2) } })
    await story.tell({ author: alice2 })
    expect(await verdict(story)).toBe('accepted')
  })

  it('SWM-11 a certificate renewed with the same key', async () => {
    const story = await group()
    const account = bob.chain[1]
    if (!account) throw new Error('an account certificate expected')
    const renewed = await issueDeviceCertificate({ ...story, random: new SeededRandom(1) }, { accountKey: testIdentity(1).accountKey, account, devicePublicKey: bob.privateKey.publicKey })
    expect(renewed.pem).not.toBe(devicePem(bob))
    await story.tell({ author: bob, edits: { [`devices/${bob.deviceId}.crt`]: renewed.pem, [crt('members', bob)]: `${accountPem(bob)}\n` } })
    expect(await verdict(story)).toBe('accepted')
  })

  it('SWM-11 a merge, and what builds on it', async () => {
    const story = await group()
    const base = story.head
    const left = await story.tell({ author: alice })
    const right = await story.tell({ author: bob, parents: [base] })
    await story.tell({ author: carol, parents: [left, right], message: `Merge commit '${right}'` })
    await story.tell({ author: bob })
    expect(await verdict(story)).toBe('accepted')
  })

  it('SWM-11 invitations by any member, joins, leaving and coming again, in every mode of groups', async () => {
    for (const mode of [1, 2, 3, 4]) {
      const story = await group(mode)
      await story.join(dave)
      await story.leave(bob)
      await story.add(dave, bob)
      await story.join(bob)
      expect(`${mode} ${await verdict(story)}`).toBe(`${mode} accepted`)
    }
  })

  it('SWM-11 vote and ban by the only admin, of a member, an invited person and a device, and back: as the worked example', async () => {
    const story = await group()
    await story.ban(alice, bob)
    await story.ban(alice, dave, 'invited')
    await story.unban(alice, bob)
    await story.tell({ author: bob })
    await story.unban(alice, dave, 'invited')
    await story.join(dave)
    await story.ban(alice, carol, 'devices')
    expect(await verdict(story)).toBe('accepted')
  })

  it('SWM-11 the devices of who is banned may go with the ban, and come back with its end', async () => {
    const story = await group()
    const devices = `devices/${bob.deviceId}.crt`
    await story.vote(alice, 'ban', bob)
    await story.resolve(alice, 'ban', bob, 'members', { [devices]: undefined })
    await story.vote(alice, 'unban', bob)
    await story.resolve(alice, 'unban', bob, 'members', { [devices]: devicePem(bob) })
    await story.tell({ author: bob })
    expect(await verdict(story)).toBe('accepted')
  })

  it('SWM-11 a profile by the admin', async () => {
    const story = await group()
    await story.tell({ author: alice, type: 'application/update-profile', fields: {}, edits: { 'profile.vcf': 'BEGIN:VCARD' } })
    expect(await verdict(story)).toBe('accepted')
  })

  it('SWM-11 an edit, a reaction and a deletion by who wrote the message', async () => {
    const story = await group()
    const text = await story.tell({ author: bob })
    await story.tell({ author: bob, fields: { body: 'better', edit: text } })
    await story.tell({ author: carol, fields: { body: '👍', 'react-to': text } })
    await story.tell({ author: bob, fields: { body: '', edit: text } })
    const file = await story.tell({ author: carol, type: 'application/data-transfer+json', fields: { tid: '1', displayName: 'x', totalSize: '1', sha3sum: 'a'.repeat(128) } })
    await story.tell({ author: carol, type: 'application/data-transfer+json', fields: { tid: '', edit: file } })
    expect(await verdict(story)).toBe('accepted')
  })

  it('SWM-11 the calls of a group', async () => {
    const story = await group()
    for (const more of [{}, { duration: '1988' }]) await story.tell({ author: bob, type: 'application/call-history+json', fields: { confId: '1', device: bob.deviceId, uri: bob.accountId, ...more } })
    expect(await verdict(story)).toBe('accepted')
  })

  it('SWM-11 a checkpoint with and without an attachment, and a merge, in a document', async () => {
    const story = await group(4)
    const base = story.head
    const left = await story.tell({ author: alice, type: 'application/checkpoint', fields: { body: 'AQID' } })
    const right = await story.tell({ author: bob, parents: [base], type: 'application/checkpoint', fields: { body: '' }, edits: { [`attachments/${EMPTY}`]: '' } })
    await story.tell({ author: alice, parents: [left, right], message: `Merge commit '${right}'`, tree: story.treeOf(right) })
    expect(await verdict(story)).toBe('accepted')
  })

  it('a vote that was there already counts for nothing, and who is a member is invited for nothing', async () => {
    const story = await group()
    await story.vote(alice, 'ban', bob)
    await story.tell({ author: alice, type: 'vote', fields: { uri: bob.accountId } })
    await story.add(alice, bob)
    expect(await verdict(story)).toBe('accepted')
    await story.tell({ author: bob, type: 'member', fields: { action: 'join', uri: bob.accountId }, edits: { [`invited/${bob.accountId}`]: undefined } })
    expect(await verdict(story)).toMatch(/^join: .*member already/)
  })
})

describe('SWM-S5 votes are counted in the tree before', () => {
  /** Several admins there are only in histories of before: put there by hand, not judged. */
  async function council(admins: number, voted: number): Promise<{ story: Story; verdict(): Promise<string> }> {
    const story = await group()
    const people = Array.from({ length: admins }, (_, i) => (i === 0 ? alice : testIdentity(4 + i).device))
    await story.tell({
      author: alice, edits: {
        ...Object.fromEntries(people.slice(1).map((who) => [crt('admins', who), accountPem(who)])),
        ...Object.fromEntries(people.slice(0, voted).map((who) => [`votes/ban/members/${bob.accountId}/${who.accountId}`, ''])),
        [`votes/ban/members/${bob.accountId}/${carol.accountId}`]: '', // no admin
        [`votes/ban/members/${dave.accountId}/${alice.accountId}`]: '', // about somebody else
      },
    })
    const known = await knownOf(story)
    const votes = Object.fromEntries(people.slice(0, voted).map((who) => [`votes/ban/members/${bob.accountId}/${who.accountId}`, undefined]))
    await story.resolve(alice, 'ban', bob, 'members', { ...votes, [`votes/ban/members/${bob.accountId}/${carol.accountId}`]: undefined })
    return {
      story, verdict: () => validateHistory(story, { conversation: story.id as never, head: story.head, pack: receivedPack(story.objects), known })
        .then(() => 'accepted', (error: unknown) => (JamiError.is(error, 'ERR_REPO_INVALID') ? error.message : Promise.reject(error))),
    }
  }

  it.each([[1, 1, true], [2, 1, true], [3, 1, false], [3, 2, true], [4, 2, true], [5, 2, false], [5, 3, true], [1, 0, false]])('of %i admins %i voted', async (admins, voted, good) => {
    const at = await council(admins, voted)
    expect(await at.verdict()).toMatch(good ? /^accepted$/ : new RegExp(`votes of ${voted} of ${admins} admins`))
  })

  it('a ban that takes an admin away does not make the rest of them half', async () => {
    const story = await group()
    const [second, third] = [testIdentity(5).device, testIdentity(6).device]
    await story.tell({ author: alice, edits: { [crt('admins', second)]: accountPem(second), [crt('admins', third)]: accountPem(third), [`votes/ban/admins/${third.accountId}/${alice.accountId}`]: '' } })
    const known = await knownOf(story)
    await story.resolve(alice, 'ban', third, 'admins')
    await expect(validateHistory(story, { conversation: story.id as never, head: story.head, pack: receivedPack(story.objects), known })).rejects.toThrow(/votes of 1 of 3 admins/)
  })
})

it('SWM-S5 a banned admin does not end the ban himself, whatever votes there are', async () => {
  const story = await group()
  const votes = Object.fromEntries([alice, dave].map((who) => [`votes/unban/admins/${dave.accountId}/${who.accountId}`, '']))
  await story.tell({ author: alice, edits: { [`invited/${dave.accountId}`]: undefined, [crt('banned/admins', dave)]: accountPem(dave), [`devices/${dave.deviceId}.crt`]: devicePem(dave), ...votes } }) // by hand, not judged
  const known = await knownOf(story)
  const unban = async (author: typeof dave) => {
    const before = story.head
    await story.resolve(author, 'unban', dave, 'admins', { [`votes/unban/admins/${dave.accountId}/${alice.accountId}`]: undefined })
    const { head } = story
    story.head = before
    return validateHistory(story, { conversation: story.id as never, head, pack: receivedPack(story.objects), known })
  }
  await expect(unban(dave)).rejects.toThrow(/unban: its author is not an admin/)
  await expect(unban(alice)).resolves.toMatchObject({ commits: { length: 1 } })
})

it('SWM-S16 a refusal says which commit, after which, what it breaks and why, so that what is before it can be kept and read', async () => {
  const story = await group()
  const good = await story.tell({ author: bob })
  const bad = await story.tell({ author: bob, type: 'application/update-profile', fields: {}, edits: { 'profile.vcf': 'x' } })
  await story.tell({ author: alice })
  await expect(whole(story)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID', details: { commit: bad, parents: [good], rule: 'profile', reason: 'profile: its author is not an admin' } })
  await expect(whole(story, good)).resolves.toMatchObject({ commits: { length: 7 } })
})

it('SWM-S16 an unsigned commit too, unless one before it is the first that is not right', async () => {
  const story = await group()
  const unsigned = async (parent: string) => {
    await story.tell({ author: bob, parents: [parent] })
    const text = Buffer.from(story.objects.get(story.head)?.data ?? new Uint8Array(0)).toString('utf8').replace(/signature .*\n/, '')
    const oid = story.keep({ type: 'commit', data: new TextEncoder().encode(text) })
    return { oid, head: await story.tell({ author: alice, parents: [oid], tree: story.treeOf(parent) }) }
  }
  const good = story.head
  const { oid, head } = await unsigned(good)
  await expect(whole(story, head)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID', details: { commit: oid, parents: [good], rule: 'commit', reason: expect.stringContaining('no signature') } })
  const bad = await story.tell({ author: bob, parents: [good], edits: { 'notes.txt': 'x' } })
  await expect(whole(story, (await unsigned(bad)).head)).rejects.toMatchObject({ details: { commit: bad, parents: [good], rule: 'ordinary' } })
})
