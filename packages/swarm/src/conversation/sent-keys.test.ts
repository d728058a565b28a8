// Idempotency keys: any text is a key of its own, what was written is found again, a line that was cut off is not there.
import { memoryFiles } from '../../test/memory.ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_KEYS } from '../defaults.ts'
import { SentKeys } from './sent-keys.ts'

const id = (n: number) => n.toString(16).padStart(40, '0')

describe('keys', () => {
  it('any text is a key of its own: numbers, __proto__, empty, long', async () => {
    await fc.assert(fc.asyncProperty(fc.uniqueArray(fc.oneof(fc.string(), fc.nat().map(String), fc.constantFrom('__proto__', 'constructor', '01', '1'))), async (keys) => {
      const files = memoryFiles().files('c')
      const sent = new SentKeys(files)
      for (const [n, key] of keys.entries()) await sent.set(key, id(n))
      const again = new SentKeys(files)
      for (const [n, key] of keys.entries()) expect([await sent.get(key), await again.get(key)]).toEqual([id(n), id(n)])
      expect(await again.get('never')).toBe(keys.includes('never') ? id(keys.indexOf('never')) : undefined)
    }), { numRuns: 100 })
  })

  it('a file cut at any place has the lines before the cut, and takes new ones', async () => {
    const files = memoryFiles().files('c')
    const sent = new SentKeys(files)
    for (const n of [1, 2, 3]) await sent.set(`key ${n}`, id(n))
    const whole = (await files.read('jamikit/sent-keys')) ?? new Uint8Array(0)
    for (let cut = 0; cut <= whole.length; cut++) {
      const other = memoryFiles().files('c')
      await other.write('jamikit/sent-keys', whole.subarray(0, cut))
      const keys = new SentKeys(other)
      const there = (await Promise.all([1, 2, 3].map((n) => keys.get(`key ${n}`)))).filter((oid) => oid !== undefined)
      expect(there).toEqual([id(1), id(2), id(3)].slice(0, there.length))
      await keys.set('new', id(9))
      const again = new SentKeys(other)
      expect([await again.get('new'), await again.get('key 1')]).toEqual([id(9), there[0]])
    }
  })

  it('what could not be written is not known', async () => {
    const storage = memoryFiles()
    const sent = new SentKeys(storage.files('c'))
    storage.onWrite = () => {
      throw new Error('disk full')
    }
    await expect(sent.set('k', id(1))).rejects.toThrow()
    expect(await sent.get('k')).toBeUndefined()
  })

  it('the newest are kept: a program that sends for years has a bounded file', async () => {
    const files = memoryFiles().files('c')
    const sent = new SentKeys(files)
    for (let n = 0; n < 3 * MAX_KEYS; n++) await sent.set(`${n}`, id(n))
    expect(await sent.get(`${3 * MAX_KEYS - 1}`)).toBe(id(3 * MAX_KEYS - 1))
    expect(await sent.get(`${2 * MAX_KEYS}`)).toBe(id(2 * MAX_KEYS))
    expect(await sent.get('0')).toBeUndefined()
    expect(await files.size('jamikit/sent-keys')).toBeLessThan(2 * MAX_KEYS * 60)
  }, 20_000)
})
