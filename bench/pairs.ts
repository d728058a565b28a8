// Who measures with whom, and their medians against the daemon's own.
import { figure } from './figure.ts'
import type { Kind } from './people.ts'

export type PairName = 'sdk-sdk' | 'sdk-daemon' | 'daemon-sdk' | 'daemon-daemon'

export const ALL_PAIRS: readonly { name: PairName; from: Kind; to: Kind }[] = [
  { name: 'sdk-sdk', from: 'sdk', to: 'sdk' },
  { name: 'sdk-daemon', from: 'sdk', to: 'daemon' },
  { name: 'daemon-sdk', from: 'daemon', to: 'sdk' },
  { name: 'daemon-daemon', from: 'daemon', to: 'daemon' },
]

export interface Run {
  readonly quick: boolean
  readonly pairs: typeof ALL_PAIRS
  /** Messages of a long history, and of a very long one (0: none). */
  readonly messages: number
  readonly long: number
}

export function ratios(name: string, medians: ReadonlyMap<PairName, number>): void {
  const base = medians.get('daemon-daemon')
  if (base === undefined) return
  for (const [pair, median] of medians) if (pair !== 'daemon-daemon') figure(`${name}.ratio.${pair}`, 'x', [median / base], `${pair} / daemon-daemon`)
}
