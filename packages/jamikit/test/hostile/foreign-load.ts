// How much of this machine is used by processes that are not of the simulation: what they take is not there for who is measured (Linux).
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/** A jiffy: what the kernel counts in. */
const TICK_MS = 10
/** Never more is granted. */
const MOST = 0.9

interface Used {
  readonly atMs: number
  /** All processes of the machine, the simulation itself and its children; ms of processor time. */
  readonly allMs: number
  readonly oursMs: number
}

function used(pids: readonly (number | undefined)[]): Used | undefined {
  try {
    const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0, steal = 0] = (readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] ?? '').trim().split(/\s+/).slice(1).map(Number)
    let oursMs = 0
    for (const pid of ['self', ...pids]) {
      const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
      oursMs += (Number(fields[11]) + Number(fields[12])) * TICK_MS
    }
    return { atMs: performance.now(), allMs: (user + nice + system + irq + soft + steal) * TICK_MS, oursMs }
  } catch {
    return undefined // nobody counts it, or one of them is gone
  }
}

/** @param pids children that count as the simulation @returns when called: the share that others took since, 0 to 0.9 */
export function foreignLoad(pids: readonly (number | undefined)[]): () => number {
  const before = used(pids)
  return () => {
    const after = used(pids)
    if (!before || !after) return 0
    const othersMs = after.allMs - before.allMs - (after.oursMs - before.oursMs)
    return Math.min(MOST, Math.max(0, othersMs / ((after.atMs - before.atMs) * availableParallelism())))
  }
}
