// Captured bundles as packs.
import { readFileSync } from 'node:fs'

export function bundlePack(name: string): Uint8Array {
  const bytes = readFileSync(new URL(`vectors/${name}.bundle`, import.meta.url))
  const at = bytes.indexOf('\n\nPACK')
  if (at < 0) throw new Error('no pack in the bundle')
  return new Uint8Array(bytes.subarray(at + 2))
}
