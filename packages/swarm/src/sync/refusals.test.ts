// What is refused is remembered and what only failed on the way is not; bounded, longer each time. docs/protocol/04 §3.8.
import { JamiError } from '@jamikit/core/base'
import { describe, expect, it } from 'vitest'
import { MAX_REFUSED_HEADS, MAX_REFUSED_SOURCES, REFUSED_HEAD_MS, REFUSED_MAX_MS, REFUSED_SOURCE_MS } from '../defaults.ts'
import { headOf, isTransient, Refusals } from './refusals.ts'

describe('kinds of failure', () => {
  it.each(['ERR_LINK_LOST', 'ERR_CHANNEL_CLOSED', 'ERR_TIMEOUT', 'ERR_PEER_OFFLINE', 'ERR_PEER_REFUSED', 'ERR_STORAGE_IO', 'ERR_ABORTED'] as const)('%s is of the way: the same may work another time', (code) => {
    expect(isTransient(new JamiError(code, 'x'))).toBe(true)
  })

  it('what the peer sent, and whatever breaks on it, is refused: bounds, rules, RangeErrors', () => {
    for (const code of ['ERR_REPO_INVALID', 'ERR_LIMIT', 'ERR_CODEC', 'ERR_SIGNATURE', 'ERR_CERTIFICATE', 'ERR_NOT_MEMBER', 'ERR_INTERNAL'] as const) expect(isTransient(new JamiError(code, 'x'))).toBe(false)
    for (const error of [new RangeError('Invalid array length'), new Error('x'), 'x', undefined]) expect(isTransient(error)).toBe(false)
  })
})

describe('the head of a failed fetch', () => {
  it('is in its error, or nowhere', () => {
    expect([headOf(new JamiError('ERR_LIMIT', 'x', { details: { head: 'a' } })), headOf(new JamiError('ERR_LIMIT', 'x', { details: { head: 1 } })), headOf(new Error('x'))]).toEqual(['a', undefined, undefined])
  })
})

describe('memory of refusals', () => {
  it('a head is held for a minute, then twice as long each time up to the most; another head of that source only shortly', () => {
    const refusals = new Refusals()
    let now = 0
    for (let times = 0; times < 12; times++) {
      refusals.refuse('a', 'bad', now)
      expect(refusals.waitMs('a', 'bad', now)).toBe(Math.min(REFUSED_HEAD_MS * 2 ** times, REFUSED_MAX_MS))
      expect(refusals.waitMs('a', 'other', now)).toBe(Math.min(REFUSED_SOURCE_MS * 2 ** times, REFUSED_MAX_MS))
      expect(refusals.waitMs('a', undefined, now)).toBe(refusals.waitMs('a', 'other', now))
      expect(refusals.waitMs('b', 'bad', now)).toBe(0)
      now += REFUSED_MAX_MS
      expect(refusals.waitMs('a', 'bad', now)).toBe(0)
    }
  })

  it('a new bomb each time is held by its source; a good fetch makes that short again and the bomb stays refused', () => {
    const refusals = new Refusals()
    for (let i = 0; i < 5; i++) refusals.refuse('a', `bomb ${i}`, 0)
    expect(refusals.waitMs('a', 'bomb 5', 0)).toBe(REFUSED_SOURCE_MS * 16)
    refusals.accept('a')
    expect([refusals.waitMs('a', 'bomb 5', 0), refusals.waitMs('a', 'bomb 4', 0)]).toEqual([0, REFUSED_HEAD_MS])
    refusals.refuse('a', 'bomb 5', 0)
    expect(refusals.waitMs('a', 'next', 0)).toBe(REFUSED_SOURCE_MS)
  })

  it('so many heads of a source and so many sources; the oldest goes first', () => {
    const refusals = new Refusals()
    for (let i = 0; i <= MAX_REFUSED_HEADS; i++) refusals.refuse('a', `${i}`, 0)
    refusals.accept('a')
    expect([refusals.waitMs('a', '0', 0), refusals.waitMs('a', '1', 0)]).toEqual([0, REFUSED_HEAD_MS])
    for (let i = 1; i < MAX_REFUSED_SOURCES; i++) refusals.refuse(`source ${i}`, 'x', 0)
    expect(refusals.waitMs('a', '1', 0)).toBe(REFUSED_HEAD_MS)
    refusals.refuse('one more', 'x', 0)
    expect(refusals.waitMs('a', '1', 0)).toBe(0)
    refusals.refuse('source 1', 'y', 0) // refused again: no more the oldest
    refusals.refuse('another', 'x', 0)
    expect([refusals.waitMs('source 1', 'x', 0), refusals.waitMs('source 2', 'x', 0)]).toEqual([REFUSED_HEAD_MS, 0])
    refusals.forget('one more')
    expect(refusals.waitMs('one more', 'x', 0)).toBe(0)
  })
})
