// The real Clock. With node-random.ts and node-network.ts the only place that asks the machine for time, chance or sockets.
// Proof: io/io.test.ts with testing/suites/clock.ts.
import type { Clock, Timer } from '../contracts/clock.ts'

/** setTimeout's longest delay. */
const MAX_DELAY_MS = 0x7fffffff

/** Monotonic and wall time of this machine; a pending timer keeps the process alive. */
export function systemClock(): Clock {
  return clock
}

const clock: Clock = {
  now: () => performance.now(),
  wallTimeMs: () => Date.now(),
  after: (delayMs, fn) => timer(performance.now() + Math.max(0, Number.isNaN(delayMs) ? 0 : delayMs), fn),
  track: (work) => work,
}

function timer(due: number, fn: () => void): Timer {
  let handle: ReturnType<typeof setTimeout> | undefined
  const arm = () => {
    handle = setTimeout(fire, Math.min(Math.ceil(due - performance.now()), MAX_DELAY_MS))
  }
  const fire = () => {
    if (performance.now() < due) arm() // Node's timers may run up to a millisecond early, and long delays come in pieces
    else fn()
  }
  arm()
  return { cancel: () => clearTimeout(handle) }
}
