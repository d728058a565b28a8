// The JSON of commit messages: exact bytes, what is refused, any text. docs/protocol/04 §1.6.
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

  it.each([
    ['no JSON', 'x'], ['a list', '[]'], ['null', 'null'], ['a string', '"x"'], ['a body that is a list', '{"type":"text/plain","body":[]}'], ['a type that is an object', '{"type":{}}'], ['nothing', ''],
    ['a mode that is text', '{"type":"initial","mode":"2"}'], ['a size that is no whole number', '{"type":"application/data-transfer+json","totalSize":"much"}'], ['a size with a part', '{"type":"x","totalSize":1.5}'],
    ['what is nested too deep', `{"type":"x","mine":${'['.repeat(1001)}${']'.repeat(1001)}}`], ['what is nested as deep as a message is long', `{"type":"x","mine":${'['.repeat(500_000)}${']'.repeat(500_000)}}`],
  ])('refuse %s', (_what, message) => expect(() => parseBody(message)).toThrow(expect.objectContaining({ code: 'ERR_REPO_INVALID' })))

  it('of more values than anybody writes, whatever they are, are not taken apart: of unknown type, and nothing in them', () => {
    const around = (count: number, one: (n: number) => string, open = '', close = '') => `{"type":"text/plain","body":"a, [ { \\" ,"${open}${Array.from({ length: count }, (_, n) => one(n)).join('')}${close}}`
    const heavy: [string, (count: number) => string][] = [
      ['members', (count) => around(count, (n) => `,"m${n}":""`)], ['elements', (count) => around(count - 2, () => ',1', ',"x":[1', ']')],
      ['objects', (count) => around(count / 2 - 1, () => ',{}', ',"x":[{}', ']')],
    ]
    for (const [what, make] of heavy) {
      expect([what, parseBody(make(MAX_BODY_VALUES - 4)).fields.body]).toEqual([what, 'a, [ { " ,'])
      expect([what, parseBody(make(MAX_BODY_VALUES + 4))]).toEqual([what, { type: 'unknown', fields: {} }])
    }
    expect(parseBody(`{"type":"text/plain","body":"${'[{,'.repeat(20_000)}"}`).type).toBe('text/plain') // a text is one value
  })

  it('of known members are read as peers read them: numbers and truths as text, null as nothing', () => {
    expect(parseBody('{"type":"x","tid":9007199254740991,"duration":1988,"totalSize":"-1","reason":null,"body":true}'))
      .toEqual({ type: 'x', fields: { tid: '9007199254740991', duration: '1988', totalSize: '-1', body: 'true' } })
    expect(parseBody('{"mode":2,"type":"initial"}')).toEqual({ type: 'initial', fields: { mode: '2' } })
  })

  it('SWM-7 keep members that nobody knows, of types that somebody does and others, and nothing can reach a prototype', () => {
    const body = parseBody('{"type":"text/plain","body":"x","mine":"1","count":2,"yes":false,"none":null,"other":[1,{"a":"b"}],"__proto__":"evil","constructor":"c"}')
    expect(body).toEqual({ type: 'text/plain', fields: { body: 'x', mine: '1', count: '2', yes: 'false', other: '[1,{"a":"b"}]', constructor: 'c' } })
    expect(Object.keys(parseBody('{"mine":"1","yours":"2","body":"x","type":"text/plain"}').fields)).toEqual(['body', 'mine', 'yours']) // who keeps a few keeps these
    expect(({} as Record<string, unknown>).evil).toBeUndefined()
    expect(parseBody(`{"type":"x","mine":${'['.repeat(1000)}${']'.repeat(1000)}}`).fields.mine).toHaveLength(2000)
  })
})

fuzz('any text is a body or a typed error', fc.oneof(fc.string(), fc.json()), (text) => void parseBody(text))
