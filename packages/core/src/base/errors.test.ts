// The error class: what it carries, how it is recognised, wrapped and printed, and where it sends its reader.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { JamiErrorCode } from '../contracts/errors.ts'
import { argumentError, closedError, codecError, JamiError, limitError, notFoundError } from './errors.ts'

describe('JamiError', () => {
  it('carries code, details, cause and whether a retry makes sense', () => {
    const cause = new Error('below')
    const error = new JamiError('ERR_TIMEOUT', 'late', { cause, details: { timeoutMs: 5 }, retryAfterMs: 10 })
    expect(error).toMatchObject({ name: 'JamiError', code: 'ERR_TIMEOUT', cause, details: { timeoutMs: 5 }, retryAfterMs: 10, retryable: true, docsUrl: expect.stringMatching(/docs\/errors\.md#err_timeout$/) })
    expect(new JamiError('ERR_CODEC', 'x').retryable).toBe(false)
    expect(JSON.parse(JSON.stringify(error))).toEqual({ name: 'JamiError', code: 'ERR_TIMEOUT', message: 'late', retryable: true, retryAfterMs: 10, details: { timeoutMs: 5 }, docsUrl: error.docsUrl })
    expect(Object.isFrozen(error.details)).toBe(true)
  })

  it('is recognised by brand and code, also from another copy of the class', () => {
    const foreign = Object.assign(new Error('x'), { code: 'ERR_LIMIT', [Symbol.for('jamikit.JamiError')]: true })
    expect(JamiError.is(foreign, 'ERR_LIMIT')).toBe(true)
    expect(JamiError.is(foreign, 'ERR_CODEC')).toBe(false)
    for (const other of [new Error('x'), { code: 'ERR_LIMIT' }, null, undefined, 'ERR_LIMIT']) expect(JamiError.is(other)).toBe(false)
  })

  it('from() keeps ours and wraps the rest', () => {
    const own = limitError('things', 3, 2)
    expect(own).toMatchObject({ code: 'ERR_LIMIT', details: { what: 'things', got: 3, allowed: 2 } })
    expect(JamiError.from(own)).toBe(own)
    expect(JamiError.from('text', 'ERR_CODEC')).toMatchObject({ code: 'ERR_CODEC', message: 'text', cause: 'text' })
    expect(codecError('f', 1, 'two').message).toBe('f: got 1, allowed two')
  })

  it('argument, closed and not-found errors have one wording each, and details', () => {
    expect(argumentError('port', 70_000, 'a whole number')).toMatchObject({ code: 'ERR_ARGUMENT', message: 'port: got 70000, allowed a whole number', details: { field: 'port', got: 70_000, allowed: 'a whole number' } })
    expect(closedError('the node')).toMatchObject({ code: 'ERR_CLOSED', message: 'the node was closed', details: { what: 'the node' } })
    expect(notFoundError('conversation 5f')).toMatchObject({ code: 'ERR_NOT_FOUND', message: 'conversation 5f is not here (any more)', details: { what: 'conversation 5f' } })
  })

  it('sends its reader to the homepage that every package names', () => {
    const root = new URL('../../../../', import.meta.url)
    const files = ['package.json', ...['core', 'dht', 'ice', 'swarm', 'jamikit'].map((name) => `packages/${name}/package.json`)]
    const pages = files.map((file) => JSON.parse(readFileSync(new URL(file, root), 'utf8')).homepage)
    expect([...new Set(pages.map((page) => `${page}/blob/main/docs/errors.md#err_codec`))]).toEqual([new JamiError('ERR_CODEC', 'x').docsUrl])
  })

  it('sends its reader to a heading that is there, whatever the code', () => {
    const root = new URL('../../../../', import.meta.url)
    const codes = [...readFileSync(new URL('packages/core/src/contracts/errors.ts', root), 'utf8').matchAll(/\| '(ERR_\w+)'/g)].map(([, code]) => code as JamiErrorCode)
    const headings = [...readFileSync(new URL('docs/errors.md', root), 'utf8').matchAll(/^## (.+)$/gm)].map(([, title = '']) => title.toLowerCase())
    expect(codes.length).toBeGreaterThan(30)
    expect(codes.filter((code) => !headings.includes(new URL(new JamiError(code, 'x').docsUrl).hash.slice(1)))).toEqual([])
  })

  it('prints under its own name and without what it has not, also after a bundler (which renames classes that name themselves)', () => {
    const file = JSON.stringify(new URL('./errors.ts', import.meta.url).href)
    const program = `const { JamiError } = await import(${file}); console.log(JamiError.name); console.log(new JamiError('ERR_CODEC', 'bad')); console.log(String(new JamiError('ERR_CODEC', 'bad')))`
    const printed = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { encoding: 'utf8', cwd: fileURLToPath(new URL('../../../../', import.meta.url)) })
    const [name, header] = printed.split('\n')
    expect([name, header]).toEqual(['JamiError', 'JamiError: bad'])
    expect(printed).not.toMatch(/_JamiError|undefined|name:/)
    expect(printed).toMatch(/JamiError: bad\n$/)
  })
})
