// What is due when: a binary heap whose entries can be moved and taken out, so that nothing is looked through to find what comes
// next. Pure. docs/protocol/01 §13. Proof: engine/indexes.test.ts (against sorting everything).

interface Entry<T> {
  readonly item: T
  at: number
}

/** Smallest first. All operations cost O(log n). */
export class DueQueue<T> {
  readonly #heap: Entry<T>[] = [] // bounded by the items of the owner
  readonly #places = new Map<T, number>() // the same items

  get size(): number {
    return this.#heap.length
  }

  /** Infinity when empty. */
  get nextAt(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  get first(): T | undefined {
    return this.#heap[0]?.item
  }

  /** Adds or moves. Infinity takes it out. */
  set(item: T, at: number): void {
    if (at === Number.POSITIVE_INFINITY) return this.delete(item)
    const place = this.#places.get(item)
    if (place === undefined) {
      this.#heap.push({ item, at })
      this.#places.set(item, this.#heap.length - 1)
      return this.#up(this.#heap.length - 1)
    }
    const entry = this.#heap[place] as Entry<T>
    const before = entry.at
    entry.at = at
    if (at < before) this.#up(place)
    else this.#down(place)
  }

  delete(item: T): void {
    const place = this.#places.get(item)
    if (place === undefined) return
    this.#places.delete(item)
    const last = this.#heap.pop() as Entry<T>
    if (place === this.#heap.length) return
    this.#heap[place] = last
    this.#places.set(last.item, place)
    this.#up(place)
    this.#down(this.#places.get(last.item) as number)
  }

  /** Takes out the first one when it is due. */
  take(now: number): T | undefined {
    const top = this.#heap[0]
    if (!top || top.at > now) return undefined
    this.delete(top.item)
    return top.item
  }

  clear(): void {
    this.#heap.length = 0
    this.#places.clear()
  }

  #swap(a: number, b: number): void {
    const [x, y] = [this.#heap[a] as Entry<T>, this.#heap[b] as Entry<T>]
    this.#heap[a] = y
    this.#heap[b] = x
    this.#places.set(y.item, a)
    this.#places.set(x.item, b)
  }

  #up(start: number): void {
    for (let at = start; at > 0; ) {
      const parent = (at - 1) >> 1
      if ((this.#heap[parent] as Entry<T>).at <= (this.#heap[at] as Entry<T>).at) return
      this.#swap(at, parent)
      at = parent
    }
  }

  #down(start: number): void {
    for (let at = start; ; ) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < this.#heap.length && (this.#heap[child] as Entry<T>).at < (this.#heap[least] as Entry<T>).at) least = child
      if (least === at) return
      this.#swap(at, least)
      at = least
    }
  }
}
