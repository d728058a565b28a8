// The JSON of commit messages: exact bytes, what is refused, any text. docs/protocol/04 §1.6.
import { JamiError } from '@jamikit/core/base'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { bundle } from '../../test/harness.ts'
import { MAX_BODY_VALUES } from '../defaults.ts'
import { parseCommit } from './commit.ts'
import { parseBody, printBody } from './commit-body.ts'

describe('bodies', () => {
  it('SWM-3 are compact, sorted, and escape what is not ASCII', () => {
    expect(printBody({ type: 'text/plain', fields: { body: 'é👍/', 'reply-to': 'x' } })).toBe('{"body":"\\u00e9\\ud83d\\udc4d/","reply-to":"x","type":"text/plain"}')
    expect(printBody({ type: 'initial', fields: { mode: '0', invited: 'x' } })).toBe('{"invited":"x","mode":0,"type":"initial"}')
  })

  it('come back as they were', () => {
    fc.assert(fc.property(fc.string(), (body) => {
      expect(parseBody(printBody({ type: 'text/plain', fields: { body } }))).toEqual({ type: 'text/plain', fields: { body } })
    }), { numRuns: 2000 })
  })

  it('of captured text commits are written as the daemon wrote them', () => {
    let count = 0
    for (const o of bundle('one-to-one').values()) {
      if (o.type !== 'commit') continue
      const { message, parents } = parseCommit(o.data)
      const body = parents.length > 1 ? undefined : parseBody(message)
      if (body?.type !== 'text/plain') continue
      expect(JSON.parse(printBody(body))).toEqual(JSON.parse(message))
      count++
    }
    expect(count).toBeGreaterThan(10)
  })

  it.each([['no JSON', 'x'], ['a list', '[]'], ['null', 'null'], ['a string', '"x"'], ['a body that is a list', '{"type":"text/plain","body":[]}'], ['a type that is an object', '{"type":{}}'], ['nothing', '']])(
    'refuse %s', (_what, message) => expect(() => parseBody(message)).toThrow(JamiError))

  it('of more values than anybody writes, whatever they are, are not taken apart: of unknown type, and nothing in them', () => {
    const around = (count: number, one: (n: number) => string, open = '', close = '') => `{"type":"text/plain","body":"a, [ { \\" ,"${open}${Array.from({ length: count }, (_, n) => one(n)).join('')}${close}}`
    const heavy: [string, (count: number) => string][] = [
      ['members', (count) => around(count, (n) => `,"m${n}":""`)], ['elements', (count) => around(count - 2, () => ',1', ',"x":[1', ']')], ['lists in lists', (count) => around(count - 1, () => '[', ',"x":', ']'.repeat(count - 1))],
      ['objects', (count) => around(count / 2 - 1, () => ',{}', ',"x":[{}', ']')],
    ]
    for (const [what, make] of heavy) {
      expect([what, parseBody(make(MAX_BODY_VALUES - 4)).fields.body]).toEqual([what, 'a, [ { " ,'])
      expect([what, parseBody(make(MAX_BODY_VALUES + 4))]).toEqual([what, { type: 'unknown', fields: {} }])
    }
    expect(parseBody(`{"type":"text/plain","body":"${'[{,'.repeat(20_000)}"}`).type).toBe('text/plain') // a text is one value
  })

  it('keep unknown members that are text, drop others, and nothing can reach a prototype', () => {
    const body = parseBody('{"type":"x","mine":"1","other":[1],"__proto__":"evil","constructor":"c"}')
    expect(body).toEqual({ type: 'x', fields: { mine: '1', constructor: 'c' } })
    expect(({} as Record<string, unknown>).evil).toBeUndefined()
  })
})

fuzz('any text is a body or a typed error', fc.oneof(fc.string(), fc.json()), (text) => void parseBody(text))
