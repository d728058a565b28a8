// A pack of a peer, indexed and within bounds, as the other rooms see it. docs/protocol/04 §4.4. Proof: sync/pack-reader.test.ts.
import type { Clock } from '@jamikit/core/contracts'
import { type GitObject, objectId, type ObjectType, type Oid, repoInvalid } from '../repo/object.ts'
import type { PackedObject, ReceivedPack } from '../repo/types.ts'
import { deflated } from './inflate.ts'
import type { PackObjects } from './pack-objects.ts'

export class SpooledPack implements ReceivedPack {
  readonly name: string
  readonly inflatedBytes: number
  readonly #objects: PackObjects
  readonly #clock: Pick<Clock, 'track'>

  constructor(objects: PackObjects, name: string, clock: Pick<Clock, 'track'>) {
    this.#objects = objects
    this.name = name
    this.#clock = clock
    let total = 0
    for (const size of objects.table.sizes) total += size
    this.inflatedBytes = total
  }

  get count(): number {
    return this.#objects.table.count
  }

  get bytes(): number {
    return this.#objects.spool.size
  }

  get path(): string | undefined {
    return this.#objects.spool.path
  }

  *entries(): Generator<{ oid: Oid; type: ObjectType; size: number; offset: number; crc: number }> {
    const { table } = this.#objects
    for (const [row, oid] of table.oids.entries()) yield { oid, type: table.type(row), size: table.sizes[row] as number, offset: table.offsets[row] as number, crc: table.crcs[row] as number }
  }

  has(oid: Oid): boolean {
    return this.#objects.table.rows.has(oid)
  }

  async stat(oid: Oid): Promise<{ type: ObjectType; size: number } | undefined> {
    const { table } = this.#objects
    const row = table.rows.get(oid)
    return row === undefined ? undefined : { type: table.type(row), size: table.sizes[row] as number }
  }

  async read(oid: Oid): Promise<GitObject | undefined> {
    const row = this.#objects.table.rows.get(oid)
    if (row === undefined) return undefined
    const object = await this.#objects.resolved(row)
    if (objectId(object) !== oid) throw repoInvalid(`pack: object ${oid} is damaged`)
    return object
  }

  async packed(oid: Oid): Promise<PackedObject | undefined> {
    const { table } = this.#objects
    const row = table.rows.get(oid)
    if (row === undefined) return undefined
    const [type, size] = [table.type(row), table.sizes[row] as number]
    if (table.base(row) === undefined) return { type, size, deflated: await this.#objects.stream(row) }
    return { type, size, deflated: await deflated(this.#clock, (await this.#objects.resolved(row)).data) }
  }

  async discard(): Promise<void> {
    this.#objects.forgetAll()
    await this.#objects.spool.discard()
  }
}
