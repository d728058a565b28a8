// Captured conversations of the real daemon: the objects of a git bundle.
import { readFileSync } from 'node:fs'
import type { GitObject, Oid } from '../src/repo/object.ts'
import { decodePack } from '../src/sync/pack.ts'

export function bundle(name: string): Map<Oid, GitObject> {
  const bytes = new Uint8Array(readFileSync(new URL(`vectors/${name}.bundle`, import.meta.url)))
  for (let i = 0; i + 6 < bytes.length; i++) if (bytes[i] === 0x0a && bytes[i + 1] === 0x0a && bytes[i + 2] === 0x50 && bytes[i + 3] === 0x41) return decodePack(bytes.subarray(i + 2))
  throw new Error('no pack in the bundle')
}
