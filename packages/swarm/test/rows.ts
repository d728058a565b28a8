// A history as rows in memory: what the parts of a conversation ask of it, without objects and files.
import type { AccountUri, DeviceId, MessageId } from '@jamikit/core/contracts'
import type { Oid } from '../src/repo/object.ts'
import type { CommitInfo, History } from '../src/repo/types.ts'

export interface Row {
  readonly oid: string
  readonly parents?: readonly string[]
  readonly author?: string
}

/** Grows by `add`; positions are rows. */
export class Rows {
  readonly #rows: CommitInfo[] = []
  readonly #places = new Map<string, number>()

  constructor(...rows: readonly Row[]) {
    for (const row of rows) this.add(row)
  }

  add({ oid, parents, author = 'a' }: Row): void {
    const row = this.#rows.length
    this.#places.set(oid, row)
    this.#rows.push({
      oid: oid as MessageId, row, tree: 't', parents: (parents ?? (row === 0 ? [] : [this.#rows[row - 1]?.oid ?? ''])).map((parent) => this.#places.get(parent) ?? -1), generation: row, timeS: row,
      author: author as AccountUri, device: 'd' as DeviceId, position: row,
    })
  }

  /** As the contract, for the methods that only ask the graph. */
  get history(): History {
    const info = (oid: Oid) => this.#rows[this.#places.get(oid) ?? -1]
    const row = (at: number) => this.#rows[at] as CommitInfo
    const self = this
    return { get rows() { return self.#rows.length }, get length() { return self.#rows.length }, row, at: row, info, has: (oid: Oid) => info(oid) !== undefined } as unknown as History
  }
}
