// A logger that keeps what it is told, for tests that prove what is (or is not) logged. Proof: testing/recording-logger.test.ts with
// testing/suites/logger.ts.
import type { Logger } from '../contracts/logger.ts'
import type { LogEntry } from './suites/logger.ts'

export interface RecordingLogger extends Logger {
  /** Of this logger and all its children, in order; bounded by the test. */
  readonly entries: readonly LogEntry[]
}

/** Writes nothing. @param entries where it keeps them; a fresh list by default */
export function recordingLogger(entries: LogEntry[] = [], bindings: Record<string, unknown> = {}): RecordingLogger {
  const at = (level: LogEntry['level']) => (fields: object, message?: string) => void entries.push({ level, fields: { ...bindings, ...fields }, message })
  return {
    entries,
    trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'),
    child: (more) => recordingLogger(entries, { ...bindings, ...more }),
  }
}
