// A received pack made of objects in memory: what validation and conversations are tested with, without a wire.
import { concatBytes, toHex } from '@jamikit/core/codec'
import { sha1 } from '@jamikit/core/crypto'
import { deflateSync } from 'node:zlib'
import { type GitObject, objectId, type Oid } from '../src/repo/object.ts'
import type { ReceivedPack } from '../src/repo/types.ts'

/** Counts what was read. */
export function receivedPack(objects: ReadonlyMap<Oid, GitObject> | Iterable<GitObject>): ReceivedPack & { reads: number; discarded: boolean } {
  const all = objects instanceof Map ? (objects as ReadonlyMap<Oid, GitObject>) : new Map([...(objects as Iterable<GitObject>)].map((o) => [objectId(o), o] as const))
  const pack = {
    reads: 0, discarded: false, count: all.size, bytes: 0, inflatedBytes: [...all.values()].reduce((sum, { data }) => sum + data.length, 0), path: undefined,
    name: toHex(sha1(concatBytes(...[...all.keys()].map((oid) => new TextEncoder().encode(oid))))),
    *entries() {
      for (const [oid, { type, data }] of all) yield { oid, type, size: data.length, offset: 0, crc: 0 }
    },
    has: (oid: Oid) => all.has(oid),
    stat: async (oid: Oid) => {
      const o = all.get(oid)
      return o && { type: o.type, size: o.data.length }
    },
    read: async (oid: Oid) => {
      pack.reads++
      return all.get(oid)
    },
    packed: async (oid: Oid) => {
      const o = all.get(oid)
      return o && { type: o.type, size: o.data.length, deflated: new Uint8Array(deflateSync(o.data)) }
    },
    discard: async () => {
      pack.discarded = true
    },
  }
  return pack
}
