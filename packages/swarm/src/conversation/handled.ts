// What the account's program has handled, durable in groups: acknowledgements that come while one is being written share the next write. At
// least once, in the order of arrival; a crash repeats at most what was not acknowledged yet. Proof: conversation/handled.test.ts.
import { asMap, decodeMsgpack, encodeMsgpack } from '@jamikit/core/codec'
import { type Deferred, deferred, inSlices } from '@jamikit/core/base'
import type { AccountUri, Clock, Storage } from '@jamikit/core/contracts'
import type { Oid } from '../repo/object.ts'
import type { CommitInfo, History } from '../repo/types.ts'
import { Covered } from './covered.ts'
import { readState, stateInput } from './marks.ts'

export class Handled {
  readonly #clock: Pick<Clock, 'track'>
  readonly #history: History
  readonly #storage: Storage
  readonly #key: string
  readonly #own: (commit: CommitInfo) => boolean
  #set: Covered
  readonly #waiting: { oid: Oid; done: Deferred<void> }[] = [] // bounded by the caller's own calls
  #writing: Promise<void> | undefined

  constructor(env: { clock: Pick<Clock, 'track'>; history: History; storage: Storage; key: string; own: AccountUri }) {
    this.#clock = env.clock
    this.#history = env.history
    this.#storage = env.storage
    this.#key = env.key
    this.#own = ({ author }) => author === env.own
    this.#set = new Covered(env.history, undefined, this.#own)
  }

  /** @throws ERR_CODEC when the record cannot be read: then everything comes again */
  async load(): Promise<void> {
    try {
      const bytes = await this.#storage.get(this.#key)
      if (bytes) this.#set = new Covered(this.#history, readState(asMap(decodeMsgpack(bytes), 'handled')), this.#own)
    } finally {
      await inSlices(this.#clock, this.#set.settling())
    }
  }

  /** Commits of others that were not handled, in the order of arrival, parents first. Continues with what arrives meanwhile. */
  *open(): Iterable<CommitInfo> {
    for (let row = this.#set.floor; row < this.#history.rows; row++) {
      if (this.#set.has(row)) continue
      const commit = this.#history.row(row)
      if (!this.#own(commit) && commit.position >= 0) yield commit
    }
  }

  /** The commit and its ancestors were handled. Durable when it resolves; nothing has changed when it rejects. */
  add(oid: Oid): Promise<void> {
    const row = this.#history.info(oid)?.row
    if (row !== undefined && this.#set.has(row)) return Promise.resolve()
    const done = deferred<void>()
    this.#waiting.push({ oid, done })
    this.#writing ??= this.#write()
    return done.promise
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0)
      try {
        const growth = await inSlices(this.#clock, this.#set.growing(...group.map(({ oid }) => oid)))
        if (growth) {
          await this.#storage.batch([{ key: this.#key, value: encodeMsgpack(stateInput(this.#set.stateWith(growth))) }])
          this.#set.grow(growth)
        }
        for (const { done } of group) done.resolve()
      } catch (error) {
        for (const { done } of group) done.reject(error)
      }
    }
    this.#writing = undefined
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#writing
  }
}
