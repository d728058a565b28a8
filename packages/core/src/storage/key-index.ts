// The keys of a storage in code unit order, so that a prefix is found without a walk over all of them and a change costs no sorting.
// Blocks of at most 512 keys: a change moves one block. Proof: storage/key-index.test.ts.

const MAX_BLOCK = 512

export class KeyIndex {
  #blocks: string[][] = [] // no empty block; bounded by the records
  #size = 0

  constructor(keys: Iterable<string> = []) {
    const sorted = [...keys].sort()
    this.#size = sorted.length
    for (let at = 0; at < sorted.length; at += MAX_BLOCK / 2) this.#blocks.push(sorted.slice(at, at + MAX_BLOCK / 2))
  }

  get size(): number {
    return this.#size
  }

  add(key: string): void {
    const at = this.#blockOf(key)
    const block = this.#blocks[at]
    if (!block) {
      this.#blocks.push([key])
      this.#size++
      return
    }
    const place = lowerBound(block.length, (i) => (block[i] as string) >= key)
    if (block[place] === key) return
    block.splice(place, 0, key)
    this.#size++
    if (block.length > MAX_BLOCK) this.#blocks.splice(at + 1, 0, block.splice(MAX_BLOCK / 2))
  }

  delete(key: string): void {
    const at = this.#blockOf(key)
    const block = this.#blocks[at]
    const place = block ? lowerBound(block.length, (i) => (block[i] as string) >= key) : 0
    if (!block || block[place] !== key) return
    block.splice(place, 1)
    this.#size--
    if (block.length === 0) this.#blocks.splice(at, 1)
  }

  /** The keys that start with `prefix`, in order. */
  startingWith(prefix: string): string[] {
    const out: string[] = []
    for (let at = this.#blockOf(prefix); at < this.#blocks.length; at++) {
      const block = this.#blocks[at] as string[]
      for (let i = lowerBound(block.length, (k) => (block[k] as string) >= prefix); i < block.length; i++) {
        const key = block[i] as string
        if (key.startsWith(prefix)) out.push(key)
        else return out
      }
    }
    return out
  }

  /** The block where a key is or belongs. */
  #blockOf(key: string): number {
    const blocks = this.#blocks
    const at = lowerBound(blocks.length, (i) => ((blocks[i] as string[])[0] as string) > key)
    return at === 0 ? 0 : at - 1
  }
}

/** The first of `length` places where `reached` is true; it stays true from there on. */
function lowerBound(length: number, reached: (i: number) => boolean): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (reached(middle)) high = middle
    else low = middle + 1
  }
  return low
}
