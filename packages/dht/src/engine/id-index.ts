// 20-byte ids in order, and which of them are closest to another one, without looking at all of them. Pure.
// docs/protocol/01 §1.1, §3.2. Proof: engine/indexes.test.ts (against sorting everything).

/** XOR distance order of two ids from a target. */
export function compareDistance(target: Uint8Array, a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < 20; i++) {
    const t = target[i] as number
    const d = ((a[i] as number) ^ t) - ((b[i] as number) ^ t)
    if (d !== 0) return d
  }
  return 0
}

/** Number of leading bits two ids share. */
export function sharedBits(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < 20; i++) {
    const x = (a[i] as number) ^ (b[i] as number)
    if (x !== 0) return i * 8 + Math.clz32(x) - 24
  }
  return 160
}

function compareIds(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < 20; i++) {
    const d = (a[i] as number) - (b[i] as number)
    if (d !== 0) return d
  }
  return 0
}

const LEAF = 8

/** One item for each id. */
export class IdIndex<T extends { readonly idBytes: Uint8Array }> {
  readonly #sorted: T[] = [] // bounded by the items of the owner

  get size(): number {
    return this.#sorted.length
  }

  /** The first place whose id is not below. */
  #place(id: Uint8Array): number {
    let [low, high] = [0, this.#sorted.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareIds((this.#sorted[middle] as T).idBytes, id) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  add(item: T): void {
    const at = this.#place(item.idBytes)
    const there = this.#sorted[at]
    if (there && compareIds(there.idBytes, item.idBytes) === 0) this.#sorted[at] = item
    else this.#sorted.splice(at, 0, item)
  }

  delete(item: T): void {
    const at = this.#place(item.idBytes)
    if (this.#sorted[at] === item) this.#sorted.splice(at, 1)
  }

  /** Visits from the closest on, until `visit` gives false. */
  from(target: Uint8Array, visit: (item: T) => boolean): void {
    this.#walk(0, this.#sorted.length, 0, target, visit)
  }

  closest(target: Uint8Array, count: number, accept: (item: T) => boolean): T[] {
    const out: T[] = []
    if (count > 0) this.from(target, (item) => !accept(item) || out.push(item) < count)
    return out
  }

  #walk(low: number, high: number, bit: number, target: Uint8Array, visit: (item: T) => boolean): boolean {
    if (high - low <= LEAF || bit >= 160) {
      const few = this.#sorted.slice(low, high).sort((a, b) => compareDistance(target, a.idBytes, b.idBytes))
      return few.every(visit)
    }
    const [byte, mask] = [bit >> 3, 0x80 >> (bit & 7)]
    let [from, to] = [low, high] // all share the bits before: zeros come before ones
    while (from < to) {
      const middle = (from + to) >> 1
      if (((this.#sorted[middle] as T).idBytes[byte] as number) & mask) to = middle
      else from = middle + 1
    }
    const one = ((target[byte] as number) & mask) !== 0
    const near = one ? [from, high] as const : [low, from] as const
    const far = one ? [low, from] as const : [from, high] as const
    return this.#walk(near[0], near[1], bit + 1, target, visit) && this.#walk(far[0], far[1], bit + 1, target, visit)
  }
}
