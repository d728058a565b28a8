// Every refusal of the checklist for groups and documents, one by one, with real signatures.
// docs/protocol/04 §3.4–3.6, §12.2 item 12, traps S1, S2, S4, S5, S13.
import { testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { alice, bob, bob2, carol, crt, dave, EMPTY, group, verdict } from '../../test/groups.ts'
import { knownOf } from '../../test/known.ts'
import { receivedPack } from '../../test/received.ts'
import { accountPem, devicePem, Story, type Telling } from '../../test/story.ts'
import { validateHistory } from './validate-history.ts'

describe('what is refused', () => {
  const vote = (target: { accountId: string }, by: { accountId: string }, action = 'ban', kind = 'members') => `votes/${action}/${kind}/${target.accountId}/${by.accountId}`
  const cases: [title: string, telling: Telling, why: RegExp][] = [
    ['SWM-12 an author who is only invited', { author: dave, edits: { [`devices/${dave.deviceId}.crt`]: devicePem(dave) } }, /^author: .*not a member/],
    ['SWM-12 a join of somebody else', { author: bob, type: 'member', fields: { action: 'join', uri: dave.accountId }, edits: { [`invited/${dave.accountId}`]: undefined, [crt('members', dave)]: accountPem(dave) } }, /^join: .*somebody else/],
    ['SWM-12 a join that leaves the invitation behind', { author: dave, type: 'member', fields: { action: 'join', uri: dave.accountId }, edits: { [crt('members', dave)]: accountPem(dave), [`devices/${dave.deviceId}.crt`]: devicePem(dave) } }, /^join: .*leaving it behind/],
    ["SWM-12 a join with somebody else's certificate", { author: dave, type: 'member', fields: { action: 'join', uri: dave.accountId }, edits: { [`invited/${dave.accountId}`]: undefined, [crt('members', dave)]: accountPem(carol), [`devices/${dave.deviceId}.crt`]: devicePem(dave) } }, /^author: .*another account/],
    ['SWM-12 an invitation with content', { author: bob, type: 'member', fields: { action: 'add', uri: testIdentity(4).device.accountId }, edits: { [`invited/${testIdentity(4).device.accountId}`]: 'x' } }, /^add: .*empty/],
    ['SWM-12 a vote by somebody who is no admin', { author: bob, type: 'vote', fields: { uri: carol.accountId }, edits: { [vote(carol, bob)]: '' } }, /^vote: .*not an admin/],
    ['SWM-12 a vote about oneself', { author: alice, type: 'vote', fields: { uri: alice.accountId }, edits: { [vote(alice, alice, 'ban', 'admins')]: '' } }, /^vote: .*oneself/],
    ['SWM-12 a vote about the device that writes it', { author: alice, type: 'vote', fields: { uri: alice.deviceId }, edits: { [`votes/ban/devices/${alice.deviceId}/${alice.accountId}`]: '' } }, /^vote: .*oneself/],
    ['SWM-12 a vote with content', { author: alice, type: 'vote', fields: { uri: bob.accountId }, edits: { [vote(bob, alice)]: 'x' } }, /^vote: .*empty/],
    ['SWM-12 a vote in the name of somebody else', { author: alice, type: 'vote', fields: { uri: bob.accountId }, edits: { [vote(bob, carol)]: '' } }, /^vote: .*no vote of its author/],
    ['SWM-12 a vote about another than it says', { author: alice, type: 'vote', fields: { uri: bob.accountId }, edits: { [vote(carol, alice)]: '' } }, /^vote: .*names/],
    ['SWM-12 two votes at once', { author: alice, type: 'vote', fields: { uri: bob.accountId }, edits: { [vote(bob, alice)]: '', [vote(carol, alice)]: '' } }, /^vote: .*allowed/],
    ['SWM-12 a vote against nobody', { author: alice, type: 'vote', fields: { uri: 'e'.repeat(40) }, edits: { [vote({ accountId: 'e'.repeat(40) }, alice)]: '' } }, /^vote: .*nobody to ban/],
    ['SWM-12 a vote for somebody who is not banned', { author: alice, type: 'vote', fields: { uri: bob.accountId }, edits: { [vote(bob, alice, 'unban')]: '' } }, /^vote: .*nobody to unban/],
    ['SWM-12 a vote in a directory of its own', { author: alice, type: 'vote', fields: { uri: bob.accountId }, edits: { [vote(bob, alice, 'kick')]: '' } }, /^vote: .*no vote/],
    ['SWM-12 a ban without vote', { author: alice, type: 'member', fields: { action: 'ban', uri: bob.accountId }, edits: { [crt('members', bob)]: undefined, [crt('banned/members', bob)]: accountPem(bob) } }, /^ban: .*votes of 0 of 1/],
    ['SWM-12 a ban that adds its vote', { author: alice, type: 'member', fields: { action: 'ban', uri: bob.accountId }, edits: { [crt('members', bob)]: undefined, [crt('banned/members', bob)]: accountPem(bob), [vote(bob, alice)]: '' } }, /^ban: .*added/],
    ['SWM-12 a ban by a member', { author: carol, type: 'member', fields: { action: 'ban', uri: bob.accountId }, edits: { [crt('members', bob)]: undefined, [crt('banned/members', bob)]: accountPem(bob) } }, /^ban: .*not an admin/],
    ['SWM-12 a ban that bans nobody', { author: alice, type: 'member', fields: { action: 'ban', uri: bob.accountId } }, /^ban: .*nothing/],
    ['SWM-12 a profile by a member', { author: bob, type: 'application/update-profile', fields: {}, edits: { 'profile.vcf': 'x' } }, /^profile: .*not an admin/],
    ['SWM-12 a profile with another file', { author: alice, type: 'application/update-profile', fields: {}, edits: { 'profile.vcf': 'x', 'notes.txt': 'x' } }, /^profile: .*notes\.txt/],
    ['SWM-12 a checkpoint in a conversation', { author: alice, type: 'application/checkpoint', fields: { body: '' } }, /^checkpoint: .*only in a document/],
    ['SWM-12 a checkpoint with an attachment in a conversation', { author: alice, type: 'application/checkpoint', fields: { body: '' }, edits: { [`attachments/${EMPTY}`]: '' } }, /^checkpoint: .*only in a document/],
    ['SWM-12 a uri with a scheme in a ban', { author: alice, type: 'member', fields: { action: 'ban', uri: `jami:${bob.accountId}` } }, /^ban: .*uri/],
    ['SWM-12 a uri in capitals', { author: alice, type: 'member', fields: { action: 'add', uri: 'E'.repeat(40) }, edits: { [`invited/${'E'.repeat(40)}`]: '' } }, /^add: .*uri/],
    ['SWM-12 a uri of zeros', { author: alice, type: 'member', fields: { action: 'add', uri: '0'.repeat(40) }, edits: { [`invited/${'0'.repeat(40)}`]: '' } }, /^add: .*uri/],
    ['SWM-12 an unknown action in a group', { author: alice, type: 'member', fields: { action: 'constructor', uri: bob.accountId } }, /^member: .*action/],
    ['SWM-S4 a removal of somebody else, by the admin too', { author: alice, type: 'member', fields: { action: 'remove', uri: bob.accountId }, edits: { [crt('members', bob)]: undefined } }, /^remove: .*somebody else/],
    ["SWM-S4 a leave that takes somebody else's device along", { author: bob, type: 'member', fields: { action: 'remove', uri: bob.accountId }, edits: { [crt('members', bob)]: undefined, [`devices/${carol.deviceId}.crt`]: undefined } }, /^remove: .*somebody else/],
    ['SWM-S4 a leave that makes an admin', { author: bob, type: 'member', fields: { action: 'remove', uri: bob.accountId }, edits: { [crt('members', bob)]: undefined, [crt('admins', bob)]: accountPem(bob) } }, /^remove: .*admins/],
    ['SWM-S4 a leave that invites a large file', { author: bob, type: 'member', fields: { action: 'remove', uri: bob.accountId }, edits: { [crt('members', bob)]: undefined, [`invited/${carol.accountId}`]: 'x'.repeat(1 << 20) } }, /^remove: .*invited/],
    ['SWM-S4 a leave that puts junk in place of a certificate', { author: bob, type: 'member', fields: { action: 'remove', uri: bob.accountId }, edits: { [crt('members', bob)]: 'junk' } }, /^remove: .*replaced/],
    ['SWM-S2 a vote that somebody else signed', { author: alice, signer: carol, type: 'vote', fields: { uri: bob.accountId }, edits: { [vote(bob, alice)]: '' } }, /^signature/],
    ['SWM-S1 a member whose device somebody else certified', { author: carol, edits: { [`devices/${carol.deviceId}.crt`]: devicePem(bob2) } }, /^author: .*another device/],
  ]
  for (const [title, telling, why] of cases) it(title, async () => {
    const story = await group()
    const base = story.head
    await story.tell(telling)
    expect(await verdict(story)).toMatch(why)
    expect(await verdict(story, base)).toBe('accepted') // it is this commit, not what is before it
  })

  it('SWM-12 an author who was banned, with the ban as it is and in a tree where the member file came back', async () => {
    const story = await group()
    await story.ban(alice, bob)
    const base = story.head
    await story.tell({ author: bob })
    expect(await verdict(story)).toMatch(/^author: .*not a member/)
    await story.tell({ author: bob, parents: [base], edits: { [crt('members', bob)]: accountPem(bob) } })
    expect(await verdict(story)).toMatch(/^author: .*banned/)
  })

  it('SWM-12 a device that was banned, though its account is a member: as it is, and bringing its certificate again; its sister may', async () => {
    const story = await group()
    await story.tell({ author: bob2, edits: { [`devices/${bob2.deviceId}.crt`]: devicePem(bob2) } })
    await story.ban(alice, bob2, 'devices')
    const base = story.head
    await story.tell({ author: bob2 })
    expect(await verdict(story)).toMatch(/^author: .*no certificate/)
    await story.tell({ author: bob2, parents: [base], edits: { [`devices/${bob2.deviceId}.crt`]: devicePem(bob2) } })
    expect(await verdict(story)).toMatch(/^author: .*is banned/)
    await story.tell({ author: bob, parents: [base] })
    expect(await verdict(story)).toBe('accepted')
  })

  it('SWM-12 an add of somebody banned, as a member or while invited, until the ban is over', async () => {
    for (const [who, kind] of [[bob, 'members'], [dave, 'invited']] as const) {
      const story = await group()
      await story.ban(alice, who, kind)
      const base = story.head
      await story.add(carol, who)
      expect(await verdict(story)).toMatch(/^add: .*banned/)
      story.head = base
      await story.unban(alice, who, kind)
      await (kind === 'members' ? story.add(carol, who) : story.join(who))
      expect(await verdict(story)).toBe('accepted')
    }
  })

  it('SWM-12 a ban with other content in its place, leaving the member file, or moving somebody of another place', async () => {
    const story = await group()
    await story.vote(alice, 'ban', bob)
    const base = story.head
    const ban = async (more: Record<string, string | undefined>) => {
      story.head = base
      await story.resolve(alice, 'ban', bob, 'members', more)
      return verdict(story)
    }
    expect(await ban({})).toBe('accepted')
    expect(await ban({ [crt('banned/members', bob)]: accountPem(carol) })).toMatch(/^ban: .*is not what/)
    expect(await ban({ [crt('members', bob)]: accountPem(bob) })).toMatch(/^ban: /)
    expect(await ban({ [crt('members', carol)]: undefined, [crt('banned/members', carol)]: accountPem(carol) })).toMatch(/^ban: .*allowed/)
    expect(await ban({ [`devices/${carol.deviceId}.crt`]: undefined })).toMatch(/^ban: .*somebody else/)
    expect(await ban({ [crt('banned/members', bob)]: undefined, [crt('banned/admins', bob)]: accountPem(bob) })).toMatch(/^ban: /)
  })

  it('SWM-12 the end of a ban that brings a device under the name of another', async () => {
    const story = await group()
    await story.ban(alice, bob)
    await story.vote(alice, 'unban', bob)
    const base = story.head
    await story.resolve(alice, 'unban', bob, 'members', { [`devices/${bob2.deviceId}.crt`]: devicePem(bob) })
    expect(await verdict(story)).toMatch(/^unban: .*somebody else/)
    story.head = base
    await story.resolve(alice, 'unban', bob, 'members', { [`devices/${bob2.deviceId}.crt`]: devicePem(bob2) })
    expect(await verdict(story)).toBe('accepted')
  })

  it('SWM-12 a vote to let a banned device back: as for the peers it would have to be there already', async () => {
    const story = await group()
    await story.ban(alice, carol, 'devices')
    await story.vote(alice, 'unban', carol, 'devices')
    expect(await verdict(story)).toMatch(/^vote: .*nobody to unban/)
  })

  it('SWM-12 an add of an admin who was banned', async () => {
    const story = await group()
    await story.tell({ author: alice, edits: { [crt('banned/admins', dave)]: accountPem(dave), [`invited/${dave.accountId}`]: undefined } }) // by hand, not judged
    const known = await knownOf(story)
    await story.add(bob, dave)
    await expect(validateHistory(story, { conversation: story.id as never, head: story.head, pack: receivedPack(story.objects), known })).rejects.toThrow(/add: of a banned/)
  })

  it('SWM-12 votes, bans and their end in a one-to-one, where contacts are banned instead', async () => {
    const story = await Story.oneToOne(alice, bob)
    await story.join(bob)
    const base = story.head
    await story.vote(alice, 'ban', bob)
    expect(await verdict(story)).toMatch(/^vote: .*one-to-one/)
    const beyond = async (action: 'ban' | 'unban') => { // though the vote were there
      const known = await knownOf(story)
      return validateHistory(story, { conversation: story.id as never, head: await story.resolve(alice, action, bob), pack: receivedPack(story.objects), known })
    }
    await expect(beyond('ban')).rejects.toThrow(/ban: not in a one-to-one/)
    await story.tell({ author: alice, edits: { [`votes/unban/members/${bob.accountId}/${alice.accountId}`]: '' } })
    await expect(beyond('unban')).rejects.toThrow(/unban: not in a one-to-one/)
    expect(await verdict(story, base)).toBe('accepted')
  })

  it('SWM-12 an edit of a message of somebody else, and of a call', async () => {
    const story = await group()
    const text = await story.tell({ author: bob })
    const call = await story.tell({ author: carol, type: 'application/call-history+json', fields: { confId: '1' } })
    const base = story.head
    await story.tell({ author: carol, fields: { body: 'x', edit: text } })
    expect(await verdict(story)).toMatch(/^edit: .*somebody else/)
    await story.tell({ author: carol, parents: [base], fields: { body: 'x', edit: call } })
    expect(await verdict(story)).toMatch(/^edit: .*call-history/)
    await story.tell({ author: alice, parents: [base], fields: { body: 'x', edit: text } }) // an admin neither
    expect(await verdict(story)).toMatch(/^edit: .*somebody else/)
  })

  it('SWM-12 an edit that changes a file', async () => {
    const story = await group()
    const text = await story.tell({ author: bob })
    await story.tell({ author: bob, fields: { body: 'x', edit: text }, edits: { 'notes.txt': 'x' } })
    expect(await verdict(story)).toMatch(/^edit: .*notes\.txt/)
  })

  it('SWM-12 a message, a reaction, a call, an unknown type in a document', async () => {
    const story = await group(4)
    const base = story.head
    for (const [type, fields] of [['text/plain', { body: 'x' }], ['text/plain', { body: 'x', 'react-to': base }], ['application/call-history+json', { confId: '1' }], ['application/x-new+json', {}]] as const) {
      await story.tell({ author: alice, parents: [base], type, fields })
      expect(await verdict(story)).toMatch(/^document: .*not in a document/)
    }
  })

  it('SWM-12 an attachment whose name is not its content, that is taken away, changed, or lies deeper; a device that is', async () => {
    const story = await group(4)
    const step = { author: alice, type: 'application/checkpoint', fields: { body: '' } }
    const base = await story.tell({ ...step, edits: { [`attachments/${EMPTY}`]: '' } })
    expect(await verdict(story)).toBe('accepted')
    const at = async (edits: Record<string, string | undefined>) => {
      await story.tell({ ...step, parents: [base], edits })
      return verdict(story)
    }
    expect(await at({ 'attachments/picture.png': 'x' })).toMatch(/^checkpoint: .*its name says/)
    expect(await at({ [`attachments/${'a'.repeat(40)}`]: 'x' })).toMatch(/^checkpoint: .*its name says/)
    expect(await at({ [`attachments/${EMPTY}`]: undefined })).toMatch(/^checkpoint: .*removed/)
    expect(await at({ [`attachments/${EMPTY}`]: 'x' })).toMatch(/^checkpoint: .*replaced/)
    expect(await at({ [`attachments/x/${EMPTY}`]: '' })).toMatch(/^checkpoint: .*allowed/)
    expect(await at({ [`devices/${bob.deviceId}.crt`]: undefined })).toMatch(/^checkpoint: .*removed/)
  })

  it('SWM-12 a first commit of a group with an invitation, without its conversation for a document, of a mode that there is not', async () => {
    const files = { [crt('admins', alice)]: accountPem(alice), [`devices/${alice.deviceId}.crt`]: devicePem(alice) }
    const first = async (fields: Record<string, string>, edits: Record<string, string> = files) => {
      const story = new Story()
      await story.tell({ author: alice, type: 'initial', fields, parents: [], edits })
      return verdict(story)
    }
    for (const mode of ['1', '2', '3']) expect(await first({ mode })).toBe('accepted')
    expect(await first({ mode: '4', parent: 'a'.repeat(40), mimeType: 'text/html' })).toBe('accepted')
    expect(await first({ mode: '4', parent: 'a'.repeat(40) })).toBe('accepted')
    expect(await first({ mode: '4' })).toMatch(/^initial: .*conversation of a document/)
    expect(await first({ mode: '5' })).toMatch(/^initial: .*mode 5/)
    expect(await first({ mode: '2', invited: bob.accountId }, { ...files, [`invited/${bob.accountId}`]: '' })).toMatch(/^initial: .*invited/)
    expect(await first({ mode: '2' }, { ...files, 'profile.vcf': 'x' })).toMatch(/^initial: .*profile/)
    expect(await first({ mode: '2' }, { ...files, [crt('members', bob)]: accountPem(bob) })).toMatch(/^initial: .*members/)
    expect(await first({ mode: '2' }, { ...files, [crt('admins', bob)]: accountPem(bob) })).toMatch(/^initial: .*admins/)
  })

  it('SWM-S13 a message that brings the signature which the header lacks', async () => {
    const story = await group()
    await story.tell({ author: bob })
    const commit = story.objects.get(story.head)
    if (!commit) throw new Error('a commit expected')
    const text = Buffer.from(commit.data).toString('utf8').replace(/(signature .*\n)\n([\s\S]*)$/, '\n$2\n$1')
    const head = story.keep({ type: 'commit', data: new TextEncoder().encode(text) })
    expect(await verdict(story, head)).toMatch(/^commit: .*no signature/)
  })

  it('SWM-12 a merge by somebody who is only invited, or was banned on one of the sides it merges', async () => {
    const story = await group()
    const base = story.head
    const text = await story.tell({ author: bob })
    story.head = base
    const ban = await story.ban(alice, carol)
    const merge = { message: `Merge commit '${text}'`, parents: [ban, text] }
    await story.tell({ author: bob, ...merge })
    expect(await verdict(story)).toBe('accepted')
    await story.tell({ author: carol, ...merge })
    expect(await verdict(story)).toMatch(/^author: .*not a member/)
    await story.tell({ author: dave, ...merge })
    expect(await verdict(story)).toMatch(/^author: .*no certificate/)
  })
})
