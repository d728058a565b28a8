// The real Clock. With node-random.ts and node-network.ts the only place that asks the machine for time, chance or sockets.
// Proof: io/io.test.ts with testing/suites/clock.ts.
import type { Clock, Timer } from '../contracts/clock.ts'

/** setTimeout's longest delay. */
const MAX_DELAY_MS = 0x7fffffff

/** Monotonic and wall time of this machine; a pending timer keeps the process alive. */
export function systemClock(): Clock {
  return clock
}

/** The same time; its timers do not keep the process alive. */
export function backgroundClock(): Clock {
  return background
}

function clockOf(alive: boolean): Clock {
  return {
    now: () => performance.now(),
    wallTimeMs: () => Date.now(),
    after: (delayMs, fn) => timer(performance.now() + Math.max(0, Number.isNaN(delayMs) ? 0 : delayMs), fn, alive),
    track: (work) => work,
  }
}

const clock = clockOf(true)
const background = clockOf(false)

function timer(due: number, fn: () => void, alive: boolean): Timer {
  let handle: ReturnType<typeof setTimeout> | undefined
  const arm = () => {
    handle = setTimeout(fire, Math.min(Math.ceil(due - performance.now()), MAX_DELAY_MS))
    if (!alive) handle.unref()
  }
  const fire = () => {
    if (performance.now() < due) arm() // Node's timers may run up to a millisecond early, and long delays come in pieces
    else fn()
  }
  arm()
  return { cancel: () => clearTimeout(handle) }
}
