// Arguments of callers: what each check takes and refuses, what the error says and never says, options by name.
import { describe, expect, it } from 'vitest'
import { type Check, checkArgument, checkOptions, is, OP } from './arguments.ts'

const signal = new AbortController().signal
const emitter = { emit() {}, on() {} }
const table: [string, Check, unknown[], unknown[]][] = [
  ['text', is.text(1, 3), ['a', 'abc', '\ud800'], ['', 'abcd', 'a\0', 7, null, undefined, ['a'], new String('a')]],
  ['whole', is.whole(0, 9), [0, 9], [-1, 10, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1', 1n, null]],
  ['milliseconds', is.milliseconds, [0, 0.5, Number.POSITIVE_INFINITY], [-1, Number.NaN, '5', null, 5n]],
  ['boolean', is.boolean, [true, false], [0, 'true', null]],
  ['function', is.function, [() => {}, class {}], [{}, 'f', null]],
  ['signal', is.signal, [signal], [{}, new AbortController(), 'abort', null, { aborted: false }]],
  ['bytes', is.bytes, [new Uint8Array(0), Buffer.from('a')], ['a', [1], new ArrayBuffer(1), null]],
  ['oneOf', is.oneOf('a', 'b'), ['a', 'b'], ['c', '', 'A', null, ['a'], 0]],
  ['hex', is.hex(4), ['00ff', 'ABCD'], ['00f', '00fff', '00fg', 255, null]],
  ['with', is.with('an emitter', 'emit', 'on'), [emitter], [{ emit() {} }, null, 'emit', () => {}]],
  ['listOf', is.listOf(is.whole(0, 9), 2), [[], [1, 2]], [[1, 2, 3], [10], 'ab', null, { length: 0 }]],
  ['either', is.either(is.boolean, is.hex(2)), [true, 'ff'], ['f', 0, null]],
]

describe.each(table)('%s', (_name, check, good, bad) => {
  it.each(good.map((value) => [value]))('takes %o', (value) => {
    expect(() => checkArgument('it', value, check)).not.toThrow()
  })

  it.each(bad.map((value) => [value]))('refuses %o with ERR_ARGUMENT, field, got and allowed', (value) => {
    const details = { field: 'it', got: expect.anything(), allowed: check.allowed }
    expect(() => checkArgument('it', value, check)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', details, message: expect.stringContaining(`allowed ${check.allowed}`) }))
  })
})

describe('options', () => {
  it('may be left out, whole or one by one', () => {
    for (const options of [undefined, {}, { signal: undefined, timeoutMs: undefined }, { timeoutMs: 5 }]) expect(() => checkOptions(options, OP)).not.toThrow()
  })

  it.each([[null], [7], ['x'], [[]], [() => {}]])('%o is no set of options', (options) => {
    expect(() => checkOptions(options, OP)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', details: expect.objectContaining({ field: 'options' }) }))
  })

  it.each(['timeout', 'timeoutMS', 'constructor', 'toString'])('of the unknown name %s are refused, and the error names those there are', (name) => {
    expect(() => checkOptions({ [name]: undefined }, OP)).toThrow(expect.objectContaining({ details: { field: name, got: 'an option of this name', allowed: 'signal, timeoutMs' } }))
  })

  it('inside others are named with them', () => {
    expect(() => checkOptions({ port: 'x' }, { port: is.whole(0, 1) }, 'dht')).toThrow(expect.objectContaining({ details: expect.objectContaining({ field: 'dht.port' }) }))
  })

  it('that are texts never show in the error', () => {
    let error: unknown
    try { checkOptions({ password: 'secret\0' }, { password: is.text(0, 1000) }) } catch (e) { error = e }
    expect(error).toMatchObject({ code: 'ERR_ARGUMENT' })
    expect(JSON.stringify(error)).not.toContain('secret')
  })
})

it('a text where bytes belong may be a key or a password: it is not shown, however the check is put together', () => {
  for (const check of [is.bytes, is.either(is.bytes, is.function), is.either(is.function, is.text(1, 3))]) {
    const refused = () => checkOptions({ encryptionKey: 'deadbeef cafe' }, { encryptionKey: check })
    expect(refused).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.not.stringContaining('beef') }))
    expect(refused).toThrow(expect.objectContaining({ details: expect.objectContaining({ got: 'a text of 13 characters' }) }))
  }
})
