// One change after another: each is decided on what the one before left on disk, so that memory may follow the disk and no change is
// lost between two that run at once. A failure costs the change that failed. Proof: account/disk-first.test.ts.

export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Starts when every earlier one has settled. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return turn
  }
}
