// Contract suite of Logger: lines of JSON, silence, and the recording double.
import { deepStrictEqual } from 'node:assert/strict'
import type { Logger, LogLevel } from '../../contracts/logger.ts'
import type { ContractTest } from './contract-test.ts'

/** What was logged. */
export interface LogEntry {
  /** How much it weighs. */
  readonly level: Exclude<LogLevel, 'silent'>
  /** With the bindings of the loggers above. */
  readonly fields: Record<string, unknown>
  /** What happened, when it was said. */
  readonly message: string | undefined
}

/** A logger, and what it kept. */
export interface LoggerUnderTest {
  /** Takes every level. */
  readonly logger: Logger
  /** What was logged, in order; left out by loggers that keep nothing. */
  entries?(): readonly LogEntry[]
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const

/** What a Logger must do, as tests to run one by one. @param make makes a fresh one for each test */
export function loggerSuite(make: () => LoggerUnderTest): ContractTest[] {
  const test = (title: string, run: (t: { logger: Logger; logged: (expected: unknown[]) => void }) => void): ContractTest => ({
    title,
    run: async () => {
      const { logger, entries } = make()
      run({
        logger,
        logged: (expected) => {
          if (entries) deepStrictEqual(entries().map(({ level, fields, message }) => [level, fields, message]), expected)
        },
      })
    },
  })
  return [
    test('every level takes fields, with or without a message', ({ logger, logged }) => {
      for (const level of LEVELS) {
        logger[level]({ n: 1 }, 'said')
        logger[level]({})
      }
      logged(LEVELS.flatMap((level) => [[level, { n: 1 }, 'said'], [level, {}, undefined]]))
    }),
    test('a child says what its parents say, and its own fields win', ({ logger, logged }) => {
      const child = logger.child({ account: 'a', part: 'x' })
      child.child({ part: 'y' }).info({ n: 1 }, 'grandchild')
      child.warn({ part: 'z' }, 'child')
      logger.error({}, 'parent')
      logged([['info', { account: 'a', part: 'y', n: 1 }, 'grandchild'], ['warn', { account: 'a', part: 'z' }, 'child'], ['error', {}, 'parent']])
    }),
    test('siblings know nothing of each other', ({ logger, logged }) => {
      const [one, two] = [logger.child({ one: 1 }), logger.child({ two: 2 })]
      one.debug({}, 'x')
      two.debug({}, 'y')
      logged([['debug', { one: 1 }, 'x'], ['debug', { two: 2 }, 'y']])
    }),
    test('whatever is logged, it never throws', ({ logger }) => {
      const ring: Record<string, unknown> = {}
      ring.self = ring
      const bad = { toJSON: () => { throw new Error('of the test') } }
      for (const value of [ring, bad, 2n ** 64n, new Uint8Array(3), new Error('x', { cause: ring }), Symbol('s'), () => {}, null, undefined]) {
        for (const level of LEVELS) logger.child({ value })[level]({ value }, 'said')
      }
    }),
  ]
}
