// Captured bundles, as packs and as objects.
import { readFileSync } from 'node:fs'
import type { GitObject, Oid } from '../src/repo/object.ts'
import { decodePack } from './packs.ts'

export function bundlePack(name: string): Uint8Array {
  const bytes = readFileSync(new URL(`vectors/${name}.bundle`, import.meta.url))
  const at = bytes.indexOf('\n\nPACK')
  if (at < 0) throw new Error('no pack in the bundle')
  return new Uint8Array(bytes.subarray(at + 2))
}

export const bundle = (name: string): Map<Oid, GitObject> => decodePack(bundlePack(name))
