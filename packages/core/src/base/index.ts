// Names of core/base; nothing else.
export { Source } from './emitter.ts'
export { type Check, checkArgument, checkOptions, is, OP, type Shape, wellFormed } from './arguments.ts'
export { argumentError, closedError, codecError, JamiError, type JamiErrorOptions, limitError, notFoundError } from './errors.ts'
export { lineLogger, silentLogger } from './logger.ts'
export { abortError, type Deferred, deferred, delay, throwIfAborted, withOp } from './operation.ts'
export { AsyncQueue } from './queue.ts'
export { LinkedSignal, withSignals } from './signals.ts'
export { Tasks } from './tasks.ts'
