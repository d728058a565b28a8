// Loggers without a sink of their own: silence by default, and a JSON-lines writer for examples and tests.
import type { Logger, LogLevel } from '../contracts/logger.ts'

const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'silent']
const nothing = () => {}

/** Discards everything. */
export const silentLogger: Logger = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silentLogger }

/**
 * One JSON line per entry at or above `level`, handed to `write`. Errors are shown with code and message.
 * @example const logger = lineLogger('info', (line) => console.error(line))
 */
export function lineLogger(level: LogLevel, write: (line: string) => void, bindings: Record<string, unknown> = {}): Logger {
  const at = (name: Exclude<LogLevel, 'silent'>) =>
    LEVELS.indexOf(name) < LEVELS.indexOf(level)
      ? nothing
      : (fields: object, message?: string) => write(lineOf({ level: name, ...bindings, ...fields, msg: message }))
  return {
    trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'),
    child: (more) => lineLogger(level, write, { ...bindings, ...more }),
  }
}

/** For `console` and its like: the message first, then the fields. */
export function consoleLogger(target: Record<Exclude<LogLevel, 'silent'>, (...args: unknown[]) => void>, bindings: Record<string, unknown> = {}): Logger {
  const at = (name: Exclude<LogLevel, 'silent'>) => (fields: object, message?: string) => target[name](message ?? '', { ...bindings, ...fields })
  return { trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: (more) => consoleLogger(target, { ...bindings, ...more }) }
}

/** Never throws: a log line must not end a connection. */
function lineOf(entry: object): string {
  try {
    return JSON.stringify(entry, plain)
  } catch (error) {
    return JSON.stringify({ level: 'warn', msg: `a log entry could not be written: ${String(error)}` })
  }
}

function plain(this: unknown, key: string, shown: unknown): unknown {
  const value = (this as Record<string, unknown>)[key] // before toJSON, which would print the bytes of a Buffer
  if (value instanceof Error) return { name: value.name, message: value.message, code: (value as { code?: unknown }).code, cause: value.cause, stack: value.stack }
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return shown
}
