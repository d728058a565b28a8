// A binary heap of row numbers under an order given from outside. Proof: repo/linear-order.test.ts, repo/ancestry.test.ts.

export class RowHeap {
  readonly #before: (a: number, b: number) => boolean
  readonly #rows: number[] = [] // bounded by the graph's rows

  /** @param before true when `a` comes out before `b`; a strict order */
  constructor(before: (a: number, b: number) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#rows.length
  }

  push(row: number): void {
    const rows = this.#rows
    let at = rows.push(row) - 1
    while (at > 0) {
      const up = (at - 1) >> 1
      if (!this.#before(row, rows[up] as number)) break
      rows[at] = rows[up] as number
      at = up
    }
    rows[at] = row
  }

  pop(): number | undefined {
    const rows = this.#rows
    const first = rows[0]
    const last = rows.pop()
    if (last === undefined || rows.length === 0) return first
    let at = 0
    for (;;) {
      let down = 2 * at + 1
      if (down >= rows.length) break
      if (down + 1 < rows.length && this.#before(rows[down + 1] as number, rows[down] as number)) down++
      if (!this.#before(rows[down] as number, last)) break
      rows[at] = rows[down] as number
      at = down
    }
    rows[at] = last
    return first
  }
}
