// Structured logging, shaped so that a pino logger fits. Types only. Never pass keys, passwords, message text or archives.
// Real: core/base/logger.ts. Double: core/testing/recording-logger.ts. Suite: testing/suites/logger.ts.

/** Least weight of what is written; `silent` writes nothing. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
/** Fields first, then what happened, as pino has it. */
export type Log = (fields: object, message?: string) => void

/** error = someone must act, warn = a peer misbehaves, info = life cycle, debug = decisions, trace = bytes. */
export interface Logger {
  /** Bytes. */
  trace: Log
  /** Decisions. */
  debug: Log
  /** The life cycle of parts. */
  info: Log
  /** A peer misbehaves. */
  warn: Log
  /** Somebody must act. */
  error: Log
  /** A logger whose lines also have these fields. */
  child(bindings: Record<string, unknown>): Logger
}
