// Structured logging, shaped so that a pino logger fits. Types only. Never pass keys, passwords, message text or archives.
// Real: core/base/logger.ts. Double: core/testing/recording-logger.ts. Suite: testing/suites/logger.ts.

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
export type Log = (fields: object, message?: string) => void

/** error = someone must act, warn = a peer misbehaves, info = life cycle, debug = decisions, trace = bytes. */
export interface Logger {
  trace: Log
  debug: Log
  info: Log
  warn: Log
  error: Log
  child(bindings: Record<string, unknown>): Logger
}
