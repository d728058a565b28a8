// Names of core/base; nothing else.
export { Source } from './emitter.ts'
export { type Check, checkArgument, checkOptions, is, OP, type Shape } from './arguments.ts'
export { argumentError, closedError, codecError, JamiError, type JamiErrorOptions, limitError, notFoundError } from './errors.ts'
export { consoleLogger, lineLogger, silentLogger } from './logger.ts'
export { abandonable, abortError, type Deferred, deferred, delay, throwIfAborted, withOp } from './operation.ts'
export { AsyncQueue } from './queue.ts'
export { LinkedSignal, withSignals } from './signals.ts'
export { Tasks } from './tasks.ts'
