// Packs the plain way, all at once in memory and without a bound: what the tests of streaming readers and writers are compared with.
import { deflateSync, inflateSync } from 'node:zlib'
import { concatBytes, toHex } from '@jamikit/core/codec'
import { sha1 } from '@jamikit/core/crypto'
import { decodeTree, type GitObject, objectId, type ObjectType, type Oid } from '../src/repo/object.ts'
import { applyDelta } from '../src/sync/delta.ts'

const NAMES: readonly (ObjectType | undefined)[] = [undefined, 'commit', 'tree', 'blob', 'tag']

/** A number as packs and deltas write sizes: the low bits first. */
export function varint(value: number): number[] {
  const out: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    out.push((rest % 128) | (rest >= 128 ? 0x80 : 0))
    if (rest < 128) return out
  }
}

/** An entry of any kind number, with what lies between header and stream (the base), and any bytes as stream. */
export function rawEntry(kind: number, size: number, between: Uint8Array, stream: Uint8Array): Uint8Array {
  const rest = Math.floor(size / 16)
  return concatBytes(Uint8Array.of((kind << 4) | (size & 15) | (rest > 0 ? 0x80 : 0), ...(rest > 0 ? varint(rest) : [])), between, stream)
}

export const refDelta = (base: Oid, delta: Uint8Array): Uint8Array => rawEntry(7, delta.length, Uint8Array.from(Buffer.from(base, 'hex')), deflateSync(delta))

/** A pack of ready entries, with a right trailer; it may lie about their number. */
export function rawPack(entries: readonly Uint8Array[], declared = entries.length): Uint8Array {
  const head = Buffer.alloc(12)
  head.write('PACK')
  head.writeUInt32BE(2, 4)
  head.writeUInt32BE(declared, 8)
  const body = new Uint8Array(Buffer.concat([head, ...entries]))
  return concatBytes(body, sha1(body))
}

export const entry = (o: GitObject): Uint8Array => rawEntry(NAMES.indexOf(o.type), o.data.length, new Uint8Array(0), deflateSync(o.data))

export function encodePack(objects: readonly GitObject[]): Uint8Array {
  return rawPack(objects.map(entry))
}

/** Objects of a good pack, by id. */
export function decodePack(pack: Uint8Array): Map<Oid, GitObject> {
  const view = Buffer.from(pack.buffer, pack.byteOffset, pack.length)
  if (view.toString('latin1', 0, 4) !== 'PACK') throw new Error('no pack')
  const entries = new Map<number, { type: ObjectType | undefined; base: number | Oid | undefined; data: Uint8Array }>()
  let at = 12
  for (let i = view.readUInt32BE(8); i > 0; i--) {
    const offset = at
    let b = pack[at++] as number
    const kind = (b >> 4) & 7
    while (b & 0x80) b = pack[at++] as number
    let base: number | Oid | undefined
    if (kind === 6) {
      b = pack[at++] as number
      let back = b & 0x7f
      while (b & 0x80) {
        b = pack[at++] as number
        back = (back + 1) * 128 + (b & 0x7f)
      }
      base = offset - back
    } else if (kind === 7) {
      base = toHex(pack.subarray(at, at + 20))
      at += 20
    }
    const { buffer, engine } = inflateSync(pack.subarray(at), { info: true } as never) as unknown as { buffer: Uint8Array; engine: { bytesWritten: number } }
    entries.set(offset, { type: NAMES[kind], base, data: new Uint8Array(buffer) })
    at += engine.bytesWritten
  }
  const done = new Map<number | Oid, GitObject>()
  for (let left = entries.size; left > 0; left--)
    for (const [offset, { type, base, data }] of entries) {
      const below = base === undefined ? undefined : done.get(base)
      const object = type ? { type, data } : below && { type: below.type, data: applyDelta(below.data, data).data }
      if (!object || done.has(offset)) continue
      done.set(offset, object)
      done.set(objectId(object), object)
    }
  return new Map([...done].filter((pair): pair is [Oid, GitObject] => typeof pair[0] === 'string'))
}

/** What the plain walk below needs of a history. */
export interface PlainHistory {
  read(oid: Oid): Promise<GitObject | undefined>
}

/** Everything that a commit reaches. */
export async function reachableObjects(history: PlainHistory, head: Oid): Promise<GitObject[]> {
  const out = new Map<Oid, GitObject>()
  for (const open = [head]; open.length > 0; ) {
    const oid = open.pop() as Oid
    if (out.has(oid)) continue
    const object = await history.read(oid)
    if (!object) throw new Error(`object ${oid} is missing`)
    out.set(oid, object)
    if (object.type === 'tree') for (const e of decodeTree(object.data)) open.push(e.oid)
    if (object.type !== 'commit') continue
    const [header = ''] = Buffer.from(object.data).toString('latin1').split('\n\n')
    for (const match of header.matchAll(/^(?:tree|parent) ([0-9a-f]{40})$/gm)) open.push(match[1] as Oid)
  }
  return [...out.values()]
}

