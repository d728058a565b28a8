// The recording logger, and the real ones, by the suite of the contract.
import { describe, expect, it } from 'vitest'
import { lineLogger, silentLogger } from '../base/logger.ts'
import { recordingLogger } from './recording-logger.ts'
import { loggerSuite, type LogEntry } from './suites/logger.ts'

function lines() {
  const entries: LogEntry[] = []
  const logger = lineLogger('trace', (line) => {
    const { level, msg, ...fields } = JSON.parse(line) as { level: LogEntry['level']; msg?: string }
    entries.push({ level, fields, message: msg })
  })
  return { logger, entries: () => entries }
}

describe('loggers', () => {
  for (const { title, run } of loggerSuite(lines)) it(`lines: ${title}`, run)
  for (const { title, run } of loggerSuite(() => ({ logger: silentLogger }))) it(`silent: ${title}`, run)
  for (const { title, run } of loggerSuite(() => {
    const logger = recordingLogger()
    return { logger, entries: () => logger.entries }
  })) it(`recording: ${title}`, run)

  it('what children log is found at the logger that the test holds', () => {
    const logger = recordingLogger()
    logger.child({ a: 1 }).child({ b: 2 }).warn({ c: 3 }, 'x')
    expect(logger.entries).toEqual([{ level: 'warn', fields: { a: 1, b: 2, c: 3 }, message: 'x' }])
  })
})
