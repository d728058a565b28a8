// Loggers without a sink of their own: silence by default, and a JSON-lines writer for examples and tests.
import type { Logger, LogLevel } from '../contracts/logger.ts'

const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'silent']
const nothing = () => {}

/** Discards everything. */
export const silentLogger: Logger = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silentLogger }

/** One JSON line per entry at or above `level`, handed to `write`. Errors are shown with code and message. */
export function lineLogger(level: LogLevel, write: (line: string) => void, bindings: Record<string, unknown> = {}): Logger {
  const at = (name: Exclude<LogLevel, 'silent'>) =>
    LEVELS.indexOf(name) < LEVELS.indexOf(level)
      ? nothing
      : (fields: object, message?: string) => write(JSON.stringify({ level: name, ...bindings, ...fields, msg: message }, plain))
  return {
    trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'),
    child: (more) => lineLogger(level, write, { ...bindings, ...more }),
  }
}

function plain(_key: string, value: unknown): unknown {
  if (value instanceof Error) return { name: value.name, message: value.message, code: (value as { code?: unknown }).code, cause: value.cause, stack: value.stack }
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return value
}
