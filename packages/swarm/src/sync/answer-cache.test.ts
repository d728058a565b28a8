// Remembered answers: the same question in any order, bounded in number and in objects. docs/protocol/04 §4.3.
import { describe, expect, it } from 'vitest'
import { MAX_ANSWER_OBJECTS, MAX_ANSWERS } from '../defaults.ts'
import { AnswerCache } from './answer-cache.ts'

const answer = (n: number) => ({ rows: Array.from({ length: n }, (_, i) => i), others: [] })

describe('the cache of answers', () => {
  it('knows the same wants over the same haves, whatever their order, and nothing else', () => {
    const cache = new AnswerCache()
    const one = answer(1)
    cache.set(['a', 'b'], ['c', 'd'], one)
    expect(cache.get(['b', 'a'], ['d', 'c'])).toBe(one)
    for (const [wants, haves] of [[['a'], ['c', 'd']], [['a', 'b'], ['c']], [['a', 'b', 'c'], ['d']], [['a', 'b'], []]] as const) expect(cache.get(wants, haves)).toBeUndefined()
  })

  it('keeps so many, the least recently asked for goes first', () => {
    const cache = new AnswerCache()
    for (let i = 0; i < MAX_ANSWERS; i++) cache.set([`${i}`], [], answer(1))
    expect(cache.get(['0'], [])).toBeDefined()
    cache.set(['one more'], [], answer(1))
    expect([cache.get(['0'], []), cache.get(['1'], [])].map(Boolean)).toEqual([true, false])
  })

  it('keeps so many objects in all; one that is larger alone is not kept and pushes nothing out', () => {
    const cache = new AnswerCache()
    cache.set(['small'], [], answer(1))
    cache.set(['huge'], [], answer(MAX_ANSWER_OBJECTS + 1))
    expect([cache.get(['small'], []), cache.get(['huge'], [])].map(Boolean)).toEqual([true, false])
    cache.set(['whole'], [], answer(MAX_ANSWER_OBJECTS))
    expect([cache.get(['small'], []), cache.get(['whole'], [])].map(Boolean)).toEqual([false, true])
    for (let i = 0; i < 3; i++) cache.set(['whole'], [], answer(MAX_ANSWER_OBJECTS)) // counts once
    expect(cache.get(['whole'], [])).toBeDefined()
  })
})
