// What people's view of a history is found with, kept beside it: what each commit is, which commits change which message, which words are in
// which. Follows the history by rows, lags behind it without harm, and is made anew from it when it is lost, damaged or of another order of
// rows. Costs a byte of memory for each commit. docs/protocol/04 §5.10. Proof: conversation/view/view-index.test.ts.
import { asArray, asInt, asMap, asString, decodeMsgpack, encodeMsgpack } from '@jamikit/core/codec'
import { JamiError } from '@jamikit/core/base'
import type { Clock, ConversationEntry, FileTree } from '@jamikit/core/contracts'
import { DERIVED_PATH } from '../../repo/graph-file.ts'
import type { Oid } from '../../repo/object.ts'
import { Turns } from '../../repo/turns.ts'
import type { CommitInfo, History } from '../../repo/types.ts'
import { isVisible, KIND, kindOf, RELATION, type Relation, targetOf, textOf } from './kinds.ts'
import { type Blocks, FLUSH_RECORDS, type Run, Runs, rowText, textRow } from './runs.ts'
import { typeKey, WORD_KEY_BYTES, wordKeys, wordPrefix } from './words.ts'

/** In the conversation's files; whoever numbers rows anew removes it. */
const INDEX_FOLDER = DERIVED_PATH
const STATE = `${INDEX_FOLDER}/state`
const KINDS = `${INDEX_FOLDER}/kinds`
const VERSION = 1
/** Commits that a crash makes us read again. */
const FLUSH_ROWS = 2_000
/** A character of a text costs as much as so many bytes that are only inflated. */
const TEXT_COST = 16
const RELATION_ROW_BITS = 29
/** Beside the kind of a message: something changes it. */
const CHANGED = 0x80
/** Changes of one message, in one way, that are looked at: what a member who edits or reacts without end costs. */
export const MAX_CHANGES = 4_096
/** Records that wait for a disk which takes nothing. */
const MAX_WAITING = 8 * FLUSH_RECORDS

export interface ViewIndexEnv {
  readonly files: FileTree
  readonly clock: Pick<Clock, 'track'>
  readonly blocks: Blocks
  readonly history: History
  readonly entry: (oid: Oid) => Promise<ConversationEntry | undefined>
  /** The index was damaged (it is being made anew), or cannot be kept (it is tried again). */
  readonly onProblem: (error: JamiError) => void
}

/** A commit that changes a message. */
export interface Change {
  readonly relation: Relation
  readonly row: number
}

export class ViewIndex {
  readonly #env: ViewIndexEnv
  #kinds = new Uint8Array(64) // bounded by the history, as the graph
  #rows = 0
  #relations: Runs
  #words: Runs
  /** Rows, and bytes of kinds, that are on disk. */
  #kept = 0
  #running: Promise<void> | undefined
  /** Marks what is CHANGED by what was kept, at the first question. */
  #marking: Promise<void> | undefined
  #readers = 0
  #gone: string[] = []
  #closed = false
  #tidy = false
  /** After a flush that failed: the next one is tried when there are so many rows. */
  #retryAt = 0

  constructor(env: ViewIndexEnv) {
    this.#env = env
    this.#relations = this.#runs('r')
    this.#words = this.#runs('w')
  }

  #runs(letter: 'r' | 'w', runs: readonly Run[] = []): Runs {
    const { files, clock, blocks } = this.#env
    return new Runs({ files, clock, blocks, folder: INDEX_FOLDER, letter, keyBytes: letter === 'r' ? 4 : WORD_KEY_BYTES }, runs)
  }

  /** Commits that are looked at. */
  get rows(): number {
    return this.#rows
  }

  /** KIND.unknown for what is not looked at yet. */
  kind(row: number): number {
    return row < this.#rows ? (this.#kinds[row] as number) & ~CHANGED : KIND.unknown
  }

  // ---------------------------------------------------------------- what is kept

  /** Takes up what was kept; nothing of it when it is not of this history. */
  async load(): Promise<void> {
    const { files, onProblem } = this.#env
    try {
      const bytes = await files.read(STATE)
      const state = bytes && readState(bytes)
      if (state && this.#matches(state)) {
        const kinds = state.rows === 0 ? new Uint8Array(0) : await files.read(KINDS, { start: 0, length: state.rows })
        if (kinds?.length !== state.rows) throw new JamiError('ERR_STORAGE_CORRUPT', `index kinds: got ${kinds?.length ?? 0} bytes, allowed ${state.rows}`)
        for (const run of [...state.relations, ...state.words]) if ((await files.size(`${INDEX_FOLDER}/${run.name}`)) === undefined) throw new JamiError('ERR_STORAGE_CORRUPT', `index ${run.name}: it is gone`)
        if (((await files.size(KINDS)) ?? 0) > state.rows) await files.truncate(KINDS, state.rows) // of a flush that did not count
        this.#kinds = new Uint8Array(Math.max(64, state.rows * 2))
        this.#kinds.set(kinds)
        this.#rows = state.rows
        this.#kept = state.rows
        this.#relations = this.#runs('r', state.relations)
        this.#words = this.#runs('w', state.words)
        return
      }
    } catch (error) {
      onProblem(JamiError.from(error))
    }
    await this.#reset()
  }

  #matches({ rows, at }: State): boolean {
    return rows <= this.#env.history.rows && (rows === 0 || this.#env.history.row(rows - 1).oid === at)
  }

  async #reset(): Promise<void> {
    this.#kinds = new Uint8Array(64)
    this.#rows = 0
    this.#kept = 0
    this.#relations = this.#runs('r')
    this.#words = this.#runs('w')
    this.#gone = []
    this.#marking = undefined
    // what stays when the disk refuses is replaced file by file
    if ((await this.#env.files.size(STATE)) !== undefined) await this.#env.files.remove(INDEX_FOLDER).catch((error: unknown) => this.#env.onProblem(JamiError.from(error)))
  }

  /** All that is new in memory goes to disk: files first, then the record that says which of them count. */
  async #flush(): Promise<void> {
    const { files, history } = this.#env
    if (this.#rows === this.#kept) return
    const gone = [...(await this.#relations.flush()), ...(await this.#words.flush())]
    if (((await files.size(KINDS)) ?? 0) > this.#kept) await files.truncate(KINDS, this.#kept)
    await files.append(KINDS, this.#kinds.slice(this.#kept, this.#rows))
    await files.write(STATE, writeState({ rows: this.#rows, at: history.row(this.#rows - 1).oid, relations: this.#relations.runs, words: this.#words.runs }))
    this.#kept = this.#rows
    this.#gone.push(...gone)
    if (this.#readers > 0) return
    for (const path of this.#gone.splice(0)) await files.remove(path)
    if (this.#tidy) return
    this.#tidy = true // once: what an earlier process left behind
    const known = new Set([STATE, KINDS, ...[...this.#relations.runs, ...this.#words.runs].map(({ name }) => `${INDEX_FOLDER}/${name}`)])
    for (const name of await files.list(INDEX_FOLDER)) if (!known.has(`${INDEX_FOLDER}/${name}`)) await files.remove(`${INDEX_FOLDER}/${name}`)
  }

  // ---------------------------------------------------------------- following the history

  /** Resolves when everything that is known is looked at. @throws ERR_STORAGE_CORRUPT, ERR_STORAGE_IO when a commit cannot be read */
  async catchUp(): Promise<void> {
    while (!this.#closed && this.#rows < this.#env.history.rows) await (this.#running ??= this.#follow().finally(() => {
      this.#running = undefined
    }))
  }

  async #follow(): Promise<void> {
    const { history, clock } = this.#env
    const turns = new Turns(clock)
    while (!this.#closed && this.#rows < history.rows) {
      const info = history.row(this.#rows)
      const entry = await this.#read(info.oid)
      await this.#take(info, entry)
      const turn = turns.object((entry?.fields.body?.length ?? 0) * TEXT_COST)
      if (turn) await turn
      if (this.#due) await this.#keep()
    }
  }

  get #due(): boolean {
    return this.#rows >= this.#retryAt && (this.#rows - this.#kept >= FLUSH_ROWS || Math.max(this.#words.waiting, this.#relations.waiting) >= FLUSH_RECORDS)
  }

  /** What the disk does not take stays in memory, told once, as long as there is room. @throws ERR_STORAGE_IO when there is none */
  async #keep(): Promise<void> {
    try {
      await this.#flush()
      this.#retryAt = 0
    } catch (error) {
      if (this.#retryAt === 0) this.#env.onProblem(JamiError.from(error))
      this.#retryAt = this.#rows + FLUSH_ROWS
      if (Math.max(this.#words.waiting, this.#relations.waiting) >= MAX_WAITING) throw error
    }
  }

  /** One that cannot be read costs itself: people do not see it. */
  async #read(oid: Oid): Promise<ConversationEntry | undefined> {
    try {
      return await this.#env.entry(oid)
    } catch (error) {
      if (!JamiError.is(error, 'ERR_STORAGE_CORRUPT')) throw error
      this.#env.onProblem(error)
      return undefined
    }
  }

  async #take(info: CommitInfo, entry: ConversationEntry | undefined): Promise<void> {
    const { row } = info
    const kind = entry ? kindOf(entry) : KIND.hidden
    if (entry && (kind === KIND.edit || kind === KIND.reaction)) await this.#relate(row, kind, entry)
    else if (entry && isVisible(kind)) this.#addWords(row, entry)
    if (row >= this.#kinds.length) {
      const kinds = new Uint8Array(this.#kinds.length * 2)
      kinds.set(this.#kinds)
      this.#kinds = kinds
    }
    this.#kinds[row] = kind
    this.#rows = row + 1
  }

  #addWords(row: number, entry: ConversationEntry): void {
    if (kindOf(entry) !== KIND.event) for (const key of wordKeys(textOf(entry))) this.#words.add(key, row)
    if (entry.type !== 'text/plain') this.#words.add(typeKey(entry.type), row)
  }

  /** Only what came before it is changed by a commit. */
  async #relate(row: number, kind: number, entry: ConversationEntry): Promise<void> {
    const target = this.#env.history.info(targetOf(entry) as Oid)
    if (!target || target.row >= row) return
    const add = (message: number, relation: Relation) => {
      this.#relations.add(rowText(message), ((relation << RELATION_ROW_BITS) | row) >>> 0)
      this.#kinds[message]! |= CHANGED
    }
    const of = this.kind(target.row)
    if (kind === KIND.reaction) {
      if (isVisible(of) && entry.fields.body) add(target.row, RELATION.reaction)
      return
    }
    const empty = !(of === KIND.file ? entry.fields.tid : entry.fields.body)
    if (of === KIND.reaction) {
      const reaction = await this.#read(target.oid)
      const message = reaction && this.#env.history.info(targetOf(reaction) ?? '')
      if (message && isVisible(this.kind(message.row))) add(message.row, empty ? RELATION.reactionRemoval : RELATION.reactionEdit)
      return
    }
    if (!isVisible(of)) return // an edit of an edit changes nothing that people see
    add(target.row, empty ? RELATION.deletion : RELATION.edit)
    if (!empty && of !== KIND.file) for (const key of wordKeys(entry.fields.body ?? '')) this.#words.add(key, target.row)
  }

  // ---------------------------------------------------------------- asking

  /** What changes a message in these ways, in no order: of each way the newest `max`. */
  async changes(row: number, relations: readonly Relation[] = Object.values(RELATION), max: number = MAX_CHANGES): Promise<Change[]> {
    await (this.#marking ??= this.#mark())
    if (((this.#kinds[row] ?? 0) & CHANGED) === 0) return [] // most of them
    const of = (relation: Relation) => this.#ask(() => this.#relations.greatest(rowText(row), (relation << RELATION_ROW_BITS) >>> 0, ((relation + 1) << RELATION_ROW_BITS) >>> 0, max))
    const out: Change[] = []
    for (const relation of relations) for (const value of await of(relation)) out.push({ relation, row: value & (2 ** RELATION_ROW_BITS - 1) })
    return out
  }

  async #mark(): Promise<void> {
    try {
      await this.#relations.keys((key) => {
        const row = textRow(key)
        if (row < this.#rows) this.#kinds[row]! |= CHANGED
      })
    } catch (error) {
      this.#marking = undefined
      if (!JamiError.is(error, 'ERR_STORAGE_CORRUPT')) throw error
      // asking for each finds the damage
      for (let row = 0; row < this.#rows; row++) this.#kinds[row]! |= CHANGED
    }
  }

  /** Rows of messages that have, or had, a word that begins so. */
  withWord(word: string): Promise<number[]> {
    return this.#ask(() => this.#words.find(wordPrefix(word)))
  }

  /** Rows of commits of a wire type; those of `text/plain` are not kept. */
  ofType(type: string): Promise<number[]> {
    return this.#ask(() => this.#words.find(typeKey(type)))
  }

  /** Made anew when it is damaged. */
  async #ask(find: () => Promise<number[]>): Promise<number[]> {
    this.#readers++
    try {
      return await find()
    } catch (error) {
      if (!JamiError.is(error, 'ERR_STORAGE_CORRUPT') || this.#closed) throw error
      this.#env.onProblem(JamiError.from(error))
    } finally {
      this.#readers--
    }
    await this.#running?.catch(() => {})
    await this.#reset()
    await this.catchUp()
    return find()
  }

  /** Nothing is written any more when it resolves. @param keep what is new goes to disk first */
  async close(keep: boolean): Promise<void> {
    this.#closed = true
    await this.#running?.catch(() => {})
    if (keep) await this.#flush().catch((error: unknown) => this.#env.onProblem(JamiError.from(error)))
  }
}

interface State {
  readonly rows: number
  readonly at: Oid
  readonly relations: readonly Run[]
  readonly words: readonly Run[]
}

function writeState({ rows, at, relations, words }: State): Uint8Array {
  const shown = (runs: readonly Run[]) => runs.map(({ name, records }) => [name, records])
  return encodeMsgpack({ version: VERSION, rows, at, relations: shown(relations), words: shown(words) })
}

/** Undefined when it is of another version. @throws ERR_CODEC */
function readState(bytes: Uint8Array): State | undefined {
  const state = asMap(decodeMsgpack(bytes), 'index')
  if (asInt(state.get('version') ?? 0, 'version') !== VERSION) return undefined
  const runs = (name: string): Run[] => asArray(state.get(name) ?? [], name).map((item) => {
    const [run, records] = asArray(item, name)
    const text = asString(run ?? '', name, 16)
    if (!/^[rw]\d{1,10}$/.test(text)) throw new JamiError('ERR_CODEC', `index: got a file ${text}`)
    return { name: text, records: asInt(records ?? -1, name) }
  })
  return { rows: asInt(state.get('rows') ?? -1, 'rows'), at: asString(state.get('at') ?? '', 'at', 40), relations: runs('relations'), words: runs('words') }
}

