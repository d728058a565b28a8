// Life cycle of everything that runs. Types only. Suite: testing/suites/service.ts.

/** Options of a call that can wait: rejects with ERR_ABORTED (cause = the signal's reason) or ERR_TIMEOUT. */
export interface Op {
  /** Gives up when it fires. */
  signal?: AbortSignal
  /** Milliseconds from the call; no limit when left out, unless the method names a default. */
  timeoutMs?: number
}

/** `start` and `stop` are idempotent and safe in any order and at the same time; a stopped service does not start again. */
export interface Service {
  /** Resolves when it runs; what it then does in the background is its own. */
  start(): Promise<void>
  /** Waits for all of the service's work to end; leaves no timer, socket or listener behind. Never rejects. */
  stop(): Promise<void>
}

/** Registers `fn`; the result takes it away again. An error thrown by `fn` is logged by the emitter, never propagated. */
export type Listen<Event> = (fn: (event: Event) => void) => () => void
