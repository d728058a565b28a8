// Merging by path: the rules, and by brute force that no path ever gets content of neither side. docs/protocol/04 §4.6.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { mergePaths, virtualBase } from './merge.ts'

const paths = (o: Record<string, string>) => new Map(Object.entries(o))

it('SWM-22 profile.vcf is merged whole by the id rule, deletions of certificates win, other conflicts are refused', () => {
  expect([...mergePaths(paths({ 'profile.vcf': '0' }), paths({ 'profile.vcf': 'a' }), paths({ 'profile.vcf': 'b' }), '1', '2')]).toEqual([['profile.vcf', 'b']])
  expect([...mergePaths(paths({}), paths({ 'profile.vcf': 'a' }), paths({ 'profile.vcf': 'b' }), '2', '1')]).toEqual([['profile.vcf', 'a']])
  expect([...mergePaths(paths({ 'members/x.crt': '0' }), paths({}), paths({ 'members/x.crt': '1' }), '1', '2')]).toEqual([])
  expect(() => mergePaths(paths({ 'admins/x.crt': '0' }), paths({ 'admins/x.crt': '1' }), paths({ 'admins/x.crt': '2' }), '1', '2')).toThrow(/both sides/)
})

it('a merge never has content of neither side (against every small tree)', () => {
  const tree = fc.dictionary(fc.constantFrom('profile.vcf', 'a', 'b'), fc.constantFrom('1', '2'))
  fc.assert(fc.property(tree, tree, tree, (base, ours, theirs) => {
    const [b, o, t] = [base, ours, theirs].map((d) => new Map(Object.entries(d)))
    if (!b || !o || !t) return
    let merged: Map<string, string>
    try {
      merged = mergePaths(b, o, t, '1', '2')
    } catch {
      return
    }
    for (const path of ['profile.vcf', 'a', 'b']) expect([o.get(path), t.get(path)]).toContain(merged.get(path))
  }), { numRuns: 5000 })
})

it('both sides make the same merge, whichever is theirs', () => {
  const tree = fc.dictionary(fc.constantFrom('profile.vcf', 'a', 'members/x.crt'), fc.constantFrom('1', '2', '3'))
  const outcome = (make: () => Map<string, string>) => {
    try {
      return [...make()].sort()
    } catch {
      return 'refused'
    }
  }
  fc.assert(fc.property(tree, tree, tree, (base, ours, theirs) => {
    const [b, o, t] = [paths(base), paths(ours), paths(theirs)]
    expect(outcome(() => mergePaths(b, o, t, '1', '2'))).toEqual(outcome(() => mergePaths(b, t, o, '2', '1')))
  }), { numRuns: 5000 })
})

it('several bases become one: what they agree on, or the first where they do not', () => {
  expect(virtualBase([])).toEqual(new Map())
  expect(virtualBase([{ head: '1', paths: paths({ a: '1' }) }, { head: '2', paths: paths({ a: '1', b: '2' }) }])).toEqual(paths({ a: '1', b: '2' }))
  expect(virtualBase([{ head: '1', paths: paths({ a: '1' }) }, { head: '2', paths: paths({ a: '2' }) }])).toEqual(paths({ a: '1' }))
})
