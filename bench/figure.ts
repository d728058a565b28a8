// What benches print: one JSON line per figure, `value` is the median, with the load of the machine at that moment.
import { readFileSync } from 'node:fs'

export function quantile(of: readonly number[], q: number): number {
  const sorted = [...of].sort((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const low = sorted[Math.floor(at)] ?? Number.NaN
  const high = sorted[Math.ceil(at)] ?? low
  return low + (high - low) * (at - Math.floor(at))
}
export const round = (x: number) => (Math.abs(x) >= 100 ? Math.round(x) : Number(x.toPrecision(3)))

export function figure(name: string, unit: string, of: readonly number[], note: string, more: object = {}): number {
  const median = quantile(of, 0.5)
  const spread = of.length > 1 ? { p95: round(quantile(of, 0.95)), min: round(Math.min(...of)), max: round(Math.max(...of)) } : {}
  const load1 = Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0])
  process.stdout.write(`${JSON.stringify({ name, unit, value: of.length === 0 ? null : round(median), n: of.length, ...spread, note, ...more, load1 })}\n`)
  return median
}
