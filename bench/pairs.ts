// Who measures with whom, and their medians against the daemon's own.
import { figure } from './figure.ts'
import type { Loops } from './loops.ts'
import { type Kind, KINDS } from './person.ts'

export type PairName = 'sdk-sdk' | 'sdk-daemon' | 'daemon-sdk' | 'daemon-daemon'

export const ALL_PAIRS: readonly { name: PairName; from: Kind; to: Kind }[] = [
  { name: 'sdk-sdk', from: 'sdk', to: 'sdk' },
  { name: 'sdk-daemon', from: 'sdk', to: 'daemon' },
  { name: 'daemon-sdk', from: 'daemon', to: 'sdk' },
  { name: 'daemon-daemon', from: 'daemon', to: 'daemon' },
]

export interface Run {
  readonly quick: boolean
  readonly full: boolean
  readonly pairs: typeof ALL_PAIRS
  /** Those that are measured with their own kind. */
  readonly kinds: readonly Kind[]
  /** Messages of a long history, and of a very long one (0: none). */
  readonly messages: number
  readonly long: number
  /** Members of the groups. */
  readonly sizes: readonly number[]
  /** The names that were asked for. */
  readonly wanted: ReadonlySet<string>
  readonly loops: Loops
}

export function ratios(name: string, medians: ReadonlyMap<PairName, number>): void {
  const base = medians.get('daemon-daemon')
  if (base === undefined) return
  for (const [pair, median] of medians) if (pair !== 'daemon-daemon') figure(`${name}.ratio.${pair}`, 'x', [median / base], `${pair} / daemon-daemon`)
}

export const lists = (): Record<Kind, number[]> => ({ sdk: [], daemon: [] })

/** One figure for each kind, and ours against the daemon's. */
export function perKind(name: string, unit: string, of: Readonly<Record<Kind, readonly number[]>>, note: string, ratio?: string): void {
  const [ours, theirs] = KINDS.map((kind) => (of[kind].length === 0 ? undefined : figure(`${name}.${kind}`, unit, of[kind], note)))
  if (ratio !== undefined && of.sdk.length > 0 && of.daemon.length > 0) figure(`${name}.ratio`, 'x', [(ours ?? Number.NaN) / (theirs ?? Number.NaN)], `ours / daemon; ${ratio}`)
}
