// Paths of a conversation's tree: the spellings that peers use, and that reading them takes nothing else. docs/protocol/04 §2, Appendix D.1.
import { fuzz } from 'test-kit/fuzz'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BAN_KINDS, parsePlace, parseVotePath, paths, VOTE_ACTIONS } from './tree-paths.ts'

const A = 'a'.repeat(40)
const B = 'b'.repeat(40)
const D = 'd'.repeat(64)

describe('paths of a tree', () => {
  it('are spelled as the daemon spells them', () => {
    expect([paths.admin(A), paths.member(A), paths.invited(A), paths.device(D), paths.profile, paths.attachment('e'.repeat(40))])
      .toEqual([`admins/${A}.crt`, `members/${A}.crt`, `invited/${A}`, `devices/${D}.crt`, 'profile.vcf', `attachments/${'e'.repeat(40)}`])
    expect(BAN_KINDS.map((kind) => paths.banned(kind, kind === 'devices' ? D : B)))
      .toEqual([`banned/members/${B}.crt`, `banned/admins/${B}.crt`, `banned/invited/${B}`, `banned/devices/${D}.crt`])
    expect(paths.vote('ban', 'members', B, A)).toBe(`votes/ban/members/${B}/${A}`)
    expect(paths.vote('unban', 'devices', D, A)).toBe(`votes/unban/devices/${D}/${A}`)
  })

  it('are read back, each as what it is', () => {
    for (const kind of BAN_KINDS) {
      const target = kind === 'devices' ? D : B
      for (const action of VOTE_ACTIONS) expect(parseVotePath(paths.vote(action, kind, target, A))).toEqual({ action, kind, target, voter: A })
      expect(parsePlace(paths.place(kind, target))).toEqual({ banned: false, kind, target })
      expect(parsePlace(paths.banned(kind, target))).toEqual({ banned: true, kind, target })
    }
  })

  it.each([
    `votes/kick/members/${B}/${A}`, `votes/ban/people/${B}/${A}`, `votes/ban/members/${B}`, `votes/ban/members/${B}/${A}/x`, `votes/ban/members/${D}/${A}`, `votes/ban/devices/${B}/${A}`,
    `votes/ban/members/${B}/${A.toUpperCase()}`, `votes/ban/members/${'0'.repeat(40)}/${A}`, `votes\\ban\\members/${B}/${A}`, `votes/ban/members/${B}/${D}`, `x/votes/ban/members/${B}/${A}`,
    `members/${B}`, `invited/${B}.crt`, `banned/invited/${B}.crt`, `banned/${B}`, `devices/${B}.crt`, `members/${D}.crt`, `admins/${B}.crt/x`, `banned/banned/members/${B}.crt`, `members/${B}.crt.crt`, 'profile.vcf', '',
  ])('nothing else is a vote or a place: %s', (path) => {
    expect(parseVotePath(path)).toBeUndefined()
    expect(parsePlace(path)).toBeUndefined()
  })
})

fuzz('any text is a path or none', fc.oneof(fc.string(), fc.array(fc.constantFrom('votes', 'ban', 'banned', 'members', 'devices', A, D, `${B}.crt`, '')).map((parts) => parts.join('/'))), (text) => {
  parseVotePath(text)
  parsePlace(text)
})
