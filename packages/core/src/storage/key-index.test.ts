import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeyIndex } from './key-index.ts'

describe('key index', () => {
  it('is what sorting and filtering all keys would give, after any changes', () => {
    const key = fc.array(fc.constantFrom('a', 'b', '/', 'B'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.array(key), fc.array(fc.tuple(fc.boolean(), key), { maxLength: 60 }), fc.constantFrom('', 'a', 'a/', 'B', 'bb', 'c'), (first, changes, prefix) => {
        const model = new Set(first)
        const index = new KeyIndex(model)
        for (const [add, name] of changes) {
          if (add) model.add(name)
          else model.delete(name)
          if (add) index.add(name)
          else index.delete(name)
        }
        expect(index.startingWith(prefix)).toEqual([...model].filter((name) => name.startsWith(prefix)).sort())
        expect(index.size).toBe(model.size)
      }),
      { numRuns: 2000 },
    )
  })

  it('keeps the order over many blocks, whatever the order of the changes', () => {
    const index = new KeyIndex()
    const names = Array.from({ length: 5000 }, (_, i) => `k/${(i * 7919) % 5000}`)
    for (const name of names) index.add(name)
    expect(index.startingWith('')).toEqual([...names].sort())
    expect(index.startingWith('k/49')).toEqual(names.filter((name) => name.startsWith('k/49')).sort())
    for (const name of names.slice(0, 4999)) index.delete(name)
    expect(index.startingWith('')).toEqual(names.slice(4999))
  })
})
