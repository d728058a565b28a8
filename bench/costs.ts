// What a process uses: processor time and memory, from /proc. Linux.
import { readFileSync, writeFileSync } from 'node:fs'

const TICK_S = 0.01 // USER_HZ is 100 in the Linux ABI
const MIB = 2 ** 20

/** Processor seconds (user and system, all threads) so far, in steps of 10 ms. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_S
}

/** Those of each process while `work` runs. */
export async function costs<T>(pids: readonly number[], work: () => Promise<T>): Promise<{ result: T; cpu: number[] }> {
  const before = pids.map(cpuSeconds)
  const result = await work()
  return { result, cpu: pids.map((pid, i) => cpuSeconds(pid) - (before[i] ?? 0)) }
}

/** MB resident now, and the most since `resetPeak`. */
export function memoryMb(pid: number): { rss: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) => (Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * 1024) / MIB
  return { rss: field('VmRSS'), peak: field('VmHWM') }
}

export const resetPeak = (pid: number) => writeFileSync(`/proc/${pid}/clear_refs`, '5')
