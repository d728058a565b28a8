// What programs get of a commit, whatever its writer put into it.
import { expect, it } from 'vitest'
import fc from 'fast-check'
import type { Commit } from '../repo/commit.ts'
import type { CommitInfo } from '../repo/types.ts'
import { MAX_FIELDS, MAX_TEXT_LENGTH } from '../defaults.ts'
import { entryOf } from './reading.ts'

const info: CommitInfo = { oid: 'a'.repeat(40) as never, row: 0, tree: 't', parents: [], generation: 0, timeS: 7, author: 'u' as never, device: 'd' as never, position: 0 }
const shown = (message: string, parents: string[] = []) => entryOf('c' as never, info, { parents, message } as unknown as Commit)

it('a text is cut at what we would send, and says so', () => {
  const long = shown(JSON.stringify({ type: 'text/plain', body: 'x'.repeat(MAX_TEXT_LENGTH + 1) }))
  expect([long.fields.body?.length, long.cut]).toEqual([MAX_TEXT_LENGTH, true])
  expect(shown(JSON.stringify({ type: 'text/plain', body: 'x' }))).toEqual(expect.not.objectContaining({ cut: true }))
})

it('ids are ids or absent', () => {
  expect(shown(JSON.stringify({ type: 'text/plain', body: 'x', 'reply-to': '../../etc', edit: 'b'.repeat(40) })).fields).toEqual({ body: 'x', edit: 'b'.repeat(40) })
})

it('types have no control characters and an end; unknown members are few and short', () => {
  expect(shown(JSON.stringify({ type: 'text\u001b[2J\n/x' })).type).toBe('text[2J/x')
  expect(shown(JSON.stringify({ type: 't'.repeat(1000) })).type.length).toBe(128)
  const many = shown(JSON.stringify({ type: 'x', ...Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, 'v'.repeat(10_000)])) }))
  expect([Object.keys(many.fields).length, many.cut]).toEqual([MAX_FIELDS, true])
  expect(Math.max(...Object.values(many.fields).map((v) => v.length))).toBeLessThanOrEqual(4096)
})

it('half a character is replaced', () => {
  expect(shown('{"type":"text/plain","body":"a\\ud83d"}').fields.body).toBe('a\ufffd')
})

it('any JSON is an entry of texts', () => {
  fc.assert(fc.property(fc.json(), (message) => {
    for (const value of Object.values(shown(message).fields)) expect(typeof value).toBe('string')
  }), { numRuns: 2000 })
})
