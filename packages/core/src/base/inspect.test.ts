// Short, one line, control characters escaped.
import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { INSPECT, showing, shown } from './inspect.ts'

it('an object is shown by kind and fields; texts are cut and escaped, what is not there is left out', () => {
  expect(shown('Thing', { id: 'a', n: 1, on: false, none: undefined })).toBe('Thing { id: "a", n: 1, on: false }')
  expect(shown('Thing', { text: '\u001b[31m\n' })).toBe('Thing { text: "\\u001b[31m\\n" }')
  expect(shown('Thing', { text: 'x'.repeat(121) })).toBe(`Thing { text: "${'x'.repeat(120)}…" }`)
})

it('util.inspect uses it at any depth; the object is otherwise the same', () => {
  const object = showing({ secret: 1 }, 'Thing', () => ({ id: 2 }))
  expect(inspect({ deep: [object] }, { depth: 9 })).toBe('{ deep: [ Thing { id: 2 } ] }')
  expect([Object.keys(object), object, INSPECT.description]).toEqual([['secret'], { secret: 1 }, 'nodejs.util.inspect.custom'])
})
