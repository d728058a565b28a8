// Merging by path: the rules, and by brute force that no path ever gets content of neither side, and that nothing is refused. docs/protocol/04 §4.6.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mergePaths, virtualBase } from './merge.ts'

const paths = (o: Record<string, string>) => new Map(Object.entries(o))
const [X, Y] = ['a'.repeat(40), 'b'.repeat(40)]
const D = 'd'.repeat(64)
const merged = (base: Record<string, string>, ours: Record<string, string>, theirs: Record<string, string>) => {
  const out = Object.fromEntries(mergePaths(paths(base), paths(ours), paths(theirs), '1', '2'))
  expect(Object.fromEntries(mergePaths(paths(base), paths(theirs), paths(ours), '2', '1'))).toEqual(out) // whoever merges
  return out
}

it('SWM-22 profile.vcf is merged whole by the id rule, with and without ancestor', () => {
  expect([...mergePaths(paths({ 'profile.vcf': '0' }), paths({ 'profile.vcf': 'a' }), paths({ 'profile.vcf': 'b' }), '1', '2')]).toEqual([['profile.vcf', 'b']])
  expect([...mergePaths(paths({}), paths({ 'profile.vcf': 'a' }), paths({ 'profile.vcf': 'b' }), '2', '1')]).toEqual([['profile.vcf', 'a']])
  expect([...mergePaths(paths({ 'profile.vcf': '0' }), paths({}), paths({ 'profile.vcf': 'b' }), '1', '2')]).toEqual([['profile.vcf', 'b']])
  expect([...mergePaths(paths({ 'profile.vcf': '0' }), paths({}), paths({ 'profile.vcf': 'b' }), '2', '1')]).toEqual([])
})

describe('of what both sides did', () => {
  it('a leave or a ban is not undone by a renewal, and two renewals do not stop anybody: the greater id wins', () => {
    expect(merged({ [`members/${X}.crt`]: '0' }, {}, { [`members/${X}.crt`]: '1' })).toEqual({})
    expect(merged({ [`admins/${X}.crt`]: '0' }, { [`admins/${X}.crt`]: '1' }, { [`admins/${X}.crt`]: '2' })).toEqual({ [`admins/${X}.crt`]: '2' })
  })

  it('a ban stands against everything the other side did: renewal, joining, coming back as a device', () => {
    const [member, invited, device] = [`members/${X}.crt`, `invited/${X}`, `devices/${D}.crt`]
    expect(merged({ [member]: '0' }, { [`banned/${member}`]: '0' }, { [member]: '1' })).toEqual({ [`banned/${member}`]: '0' })
    expect(merged({ [invited]: 'e' }, { [`banned/${invited}`]: 'e' }, { [member]: '0' })).toEqual({ [`banned/${invited}`]: 'e' })
    expect(merged({}, { [invited]: 'e' }, { [`banned/${invited}`]: 'e' })).toEqual({ [`banned/${invited}`]: 'e' })
    expect(merged({}, { [device]: '0' }, { [`banned/${device}`]: '0' })).toEqual({ [`banned/${device}`]: '0' })
    expect(merged({ [member]: '0' }, { [`banned/${member}`]: '0' }, { [`banned/${member}`]: '1' })).toEqual({ [`banned/${member}`]: '1' }) // banned before and after a renewal
  })

  it('the end of a ban stands against nothing done, and somebody else goes on as he was', () => {
    const [member, other] = [`members/${X}.crt`, `members/${Y}.crt`]
    expect(merged({ [`banned/${member}`]: '0', [other]: '0' }, { [member]: '0', [other]: '0' }, { [`banned/${member}`]: '0', [other]: '1' })).toEqual({ [member]: '0', [other]: '1' })
  })

  it('votes that came to something are gone, others stay', () => {
    const [member, vote, other] = [`members/${X}.crt`, `votes/ban/members/${X}/${Y}`, `votes/ban/members/${Y}/${Y}`]
    expect(merged({ [member]: '0' }, { [`banned/${member}`]: '0' }, { [member]: '0', [vote]: 'e', [other]: 'e' })).toEqual({ [`banned/${member}`]: '0', [other]: 'e' })
    const unvote = `votes/unban/members/${X}/${Y}`
    expect(merged({ [`banned/${member}`]: '0' }, { [member]: '0' }, { [`banned/${member}`]: '0', [unvote]: 'e' })).toEqual({ [member]: '0' })
    expect(merged({ [member]: '0' }, { [member]: '1' }, { [member]: '0', [vote]: 'e' })).toEqual({ [member]: '1', [vote]: 'e' })
  })

  it('who joined on one side is not invited by the other', () => {
    expect(merged({}, { [`members/${X}.crt`]: '0' }, { [`invited/${X}`]: 'e' })).toEqual({ [`members/${X}.crt`]: '0' })
  })

  it('what both have stays, though one rule would take it away: the merge would hold what neither has', () => {
    const both = { [`members/${X}.crt`]: '0', [`banned/invited/${X}`]: 'e' }
    expect(merged({}, both, { ...both, 'profile.vcf': '1' })).toEqual({ ...both, 'profile.vcf': '1' })
  })
})

const ALL = ['profile.vcf', 'a', `members/${X}.crt`, `banned/members/${X}.crt`, `banned/invited/${X}`, `invited/${X}`, `votes/ban/members/${X}/${Y}`, `votes/unban/members/${X}/${Y}`, `devices/${D}.crt`, `banned/devices/${D}.crt`]
const tree = fc.dictionary(fc.constantFrom(...ALL), fc.constantFrom('1', '2', '3'))

it('a merge never has content of neither side, whatever they are (against every small tree)', () => {
  fc.assert(fc.property(tree, tree, tree, (base, ours, theirs) => {
    const out = mergePaths(paths(base), paths(ours), paths(theirs), '1', '2')
    for (const path of ALL) expect([ours[path], theirs[path]]).toContain(out.get(path))
  }), { numRuns: 5000 })
})

it('a side that did nothing gets what the other one has', () => {
  fc.assert(fc.property(tree, tree, (base, theirs) => {
    expect([...mergePaths(paths(base), paths(base), paths(theirs), '1', '2')].sort()).toEqual(Object.entries(theirs).sort())
  }), { numRuns: 5000 })
})

it('both sides make the same merge, whichever is theirs', () => {
  fc.assert(fc.property(tree, tree, tree, (base, ours, theirs) => {
    const [b, o, t] = [paths(base), paths(ours), paths(theirs)]
    expect([...mergePaths(b, o, t, '1', '2')].sort()).toEqual([...mergePaths(b, t, o, '2', '1')].sort())
  }), { numRuns: 5000 })
})

it('several bases become one: what they agree on, or by the same rules where they do not', () => {
  expect(virtualBase([])).toEqual(new Map())
  expect(virtualBase([{ head: '1', paths: paths({ a: '1' }) }, { head: '2', paths: paths({ a: '1', b: '2' }) }])).toEqual(paths({ a: '1', b: '2' }))
  expect(virtualBase([{ head: '1', paths: paths({ a: '1' }) }, { head: '2', paths: paths({ a: '2' }) }])).toEqual(paths({ a: '2' }))
  expect(virtualBase([{ head: '2', paths: paths({ a: '1' }) }, { head: '1', paths: paths({ a: '2' }) }])).toEqual(paths({ a: '1' }))
})
