// Names of core/base; nothing else.
export { Source } from './emitter.ts'
export { codecError, JamiError, type JamiErrorOptions, limitError } from './errors.ts'
export { lineLogger, silentLogger } from './logger.ts'
export { abortError, type Deferred, deferred, delay, throwIfAborted, withOp } from './operation.ts'
export { AsyncQueue } from './queue.ts'
export { Slices } from './slices.ts'
export { LinkedSignal, withSignals } from './signals.ts'
export { Tasks } from './tasks.ts'
