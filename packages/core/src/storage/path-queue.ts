// Order of work on files: what touches one file happens one after the other, in the order of the calls; what moves or removes a
// directory waits for everything below it, and everything below it that comes later waits for it. The rest runs side by side.
// Proof: storage/path-queue.test.ts.

interface Subtree {
  readonly paths: readonly string[]
  readonly done: Promise<void>
}

/** True when `path` is `directory` or lies in it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || (path.startsWith(directory) && path[directory.length] === '/')
}

export class PathQueue {
  readonly #tails = new Map<string, Promise<void>>() // bounded by the callers' own calls under way
  readonly #subtrees = new Set<Subtree>() // bounded by the callers' own calls under way

  /** Runs `work` after everything that was asked for this file before. */
  run<T>(path: string, work: () => Promise<T>): Promise<T> {
    const before = [this.#tails.get(path), ...[...this.#subtrees].map(({ paths, done }) => (paths.some((top) => isWithin(path, top)) ? done : undefined))].filter((w) => w !== undefined)
    const result = before.length === 0 ? work() : Promise.all(before).then(work)
    const done = settled(result)
    this.#tails.set(path, done)
    void done.then(() => {
      if (this.#tails.get(path) === done) this.#tails.delete(path)
    })
    return result
  }

  /** Runs `work` alone on these paths and everything below them. */
  runOnTrees<T>(paths: readonly string[], work: () => Promise<T>): Promise<T> {
    const before: Promise<void>[] = []
    for (const [path, done] of this.#tails) if (paths.some((top) => isWithin(path, top))) before.push(done)
    for (const other of this.#subtrees) if (other.paths.some((a) => paths.some((b) => isWithin(a, b) || isWithin(b, a)))) before.push(other.done)
    const result = Promise.all(before).then(work)
    const entry = { paths, done: settled(result) }
    this.#subtrees.add(entry)
    void entry.done.then(() => this.#subtrees.delete(entry))
    return result
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    while (this.#tails.size + this.#subtrees.size > 0) await Promise.all([...this.#tails.values(), ...[...this.#subtrees].map(({ done }) => done)])
  }
}

function settled(work: Promise<unknown>): Promise<void> {
  return work.then(
    () => {},
    () => {},
  )
}
