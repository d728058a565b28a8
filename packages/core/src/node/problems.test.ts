// What fails while nobody waits: to listeners, or once per kind as a warning; what fails early waits for the program's first turn.
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { recordingLogger } from '../testing/recording-logger.ts'
import { Problems } from './problems.ts'

function make() {
  const clock = new ManualClock()
  const logger = recordingLogger()
  const state = { listeners: 0 }
  const told: { error: JamiError; source: string }[] = []
  const warned: string[] = []
  const problems = new Problems({ clock, logger, listeners: () => state.listeners, emit: (p) => told.push(p), warn: (code, message, hint) => warned.push([code, message, hint].join(' | ')) })
  return { clock, logger, state, told, warned, problems }
}
const full = (n: number) => new JamiError('ERR_STORAGE_IO', `disk full ${n}`)

describe('an error that nobody waits for', () => {
  it('goes to the listeners, and is no warning then', () => {
    const m = make()
    m.problems.started()
    m.state.listeners = 1
    m.problems.report(full(1), 'messages')
    m.problems.report(new TypeError('oops'), 'listener of message')
    expect(m.told).toMatchObject([{ error: { code: 'ERR_STORAGE_IO' }, source: 'messages' }, { error: { code: 'ERR_INTERNAL', message: 'oops' }, source: 'listener of message' }])
    expect(m.warned).toEqual([])
  })

  it('without a listener is a warning that says what to register, once for each code and source', () => {
    const m = make()
    m.problems.started()
    for (const n of [1, 2, 3]) m.problems.report(full(n), 'messages')
    m.problems.report(full(4), 'account')
    expect(m.warned).toEqual([expect.stringContaining("JAMI_UNHANDLED_ERROR | unhandled 'error' of a Jami node, from messages: ERR_STORAGE_IO: disk full 1 | Register node.on('error'"), expect.stringContaining('from account')])
  })

  it('of the program itself shows where it came from', () => {
    const m = make()
    m.problems.started()
    m.problems.report(new TypeError('oops'), 'listener of message')
    expect(m.warned[0]).toMatch(/TypeError: oops\n\s+at .*problems\.test/)
  })

  it('makes at most 20 warnings, however many kinds there are', () => {
    const m = make()
    m.problems.started()
    for (let n = 0; n < 50; n++) m.problems.report(full(n), `source ${n}`)
    expect(m.warned.length).toBe(20)
  })
})

describe('an error before the program has its node', () => {
  it('waits for the first listener', async () => {
    const m = make()
    m.problems.report(full(1), 'account')
    m.problems.started()
    expect(m.warned).toEqual([])
    m.state.listeners = 1
    m.problems.flush()
    await m.clock.settle()
    expect([m.told.length, m.warned, m.clock.pending()]).toEqual([1, [], []])
  })

  it('is a warning when the turn has passed without one', async () => {
    const m = make()
    m.problems.report(full(1), 'account')
    m.problems.started()
    await m.clock.settle()
    expect(m.warned.length).toBe(1)
  })

  it('is kept a hundred times and not more', async () => {
    const m = make()
    for (let n = 0; n < 150; n++) m.problems.report(full(n), 'account')
    m.problems.started()
    m.state.listeners = 1
    await m.clock.settle()
    expect(m.told.length).toBe(100)
  })
})
