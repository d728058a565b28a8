// What people see of an account's conversations: messages as they stand, pages of them, what is found, what is unread. Joins index, projection
// and search of each conversation; follows what changes in the background. docs/protocol/04 §5.10.
// Proof: conversation/view/views.test.ts, contract.test.ts (suite of the contract).
import { JamiError, Slices, type Tasks, throwIfAborted, withOp } from '@jamikit/core/base'
import type { AccountUri, Clock, ConversationEntry, ConversationId, ConversationMessages, FileTree, MessageId, MessageQuery, MessageView } from '@jamikit/core/contracts'
import type { Oid } from '../../repo/object.ts'
import type { CommitInfo, History } from '../../repo/types.ts'
import { isMessage, isVisible, KIND } from './kinds.ts'
import { PatternThread } from './pattern.ts'
import { Projection, type ProjectionEnv } from './projection.ts'
import { Blocks } from './runs.ts'
import { search } from './search.ts'
import { ViewIndex } from './view-index.ts'

/** Blocks of all indexes that were read lately: 2 MiB. */
const MAX_BLOCKS = 512
/** Commits that may be looked at in the background at a start; a longer way is gone when somebody asks. */
const CATCH_UP_AT_START = 1_000
const ROWS_AT_ONCE = 8_000

/** What is asked of a conversation. */
export interface Viewed {
  readonly id: ConversationId
  readonly history: History
  entry(oid: Oid): Promise<ConversationEntry | undefined>
  /** Commits up to which a member has read; each covers what is before it. */
  readBy(member: AccountUri): readonly Oid[]
}

export interface ViewsEnv {
  readonly clock: Clock
  readonly tasks: Tasks
  readonly own: AccountUri
  readonly files: (id: ConversationId) => FileTree
  /** @throws ERR_NOT_FOUND */
  readonly get: (id: ConversationId) => Viewed
  /** The program has not left or removed it. */
  readonly isHere: (of: Viewed) => boolean
  readonly onProblem: (id: ConversationId, error: JamiError) => void
}

type Range = Parameters<ConversationMessages['messages']>[1]

interface View {
  readonly of: Viewed
  readonly index: ViewIndex
  readonly projection: Projection
  readonly loaded: Promise<void>
  /** What was counted last: up to `head` at `position`, after what was read up to `from`. */
  unread: { readonly head: Oid; readonly position: number; readonly from: number; readonly rows: number; readonly exact: boolean; readonly count: number } | undefined
}

export class Views implements ConversationMessages {
  readonly #env: ViewsEnv
  readonly #views = new Map<ConversationId, View>() // bounded by the conversations
  readonly #blocks = new Blocks(MAX_BLOCKS)
  readonly #patterns = new PatternThread()
  readonly #kept: ProjectionEnv['kept'] = new Map() // bounded by MAX_KEPT_CHANGES

  constructor(env: ViewsEnv) {
    this.#env = env
  }

  #view(of: Viewed): View {
    const known = this.#views.get(of.id)
    if (known?.of === of) return known
    const { clock, files, onProblem } = this.#env
    const { history } = of
    const entry = (oid: Oid) => of.entry(oid)
    const index = new ViewIndex({ files: files(of.id), clock, blocks: this.#blocks, history, entry, onProblem: (error) => onProblem(of.id, error) })
    const view: View = { of, index, projection: new Projection({ history, index, entry, kept: this.#kept }), loaded: index.load(), unread: undefined }
    view.loaded.catch((error: unknown) => onProblem(of.id, JamiError.from(error)))
    this.#views.set(of.id, view)
    return view
  }

  /** Follows everything that is new. */
  async #current(id: ConversationId): Promise<View> {
    const view = this.#view(this.#env.get(id))
    await view.loaded
    await view.index.catchUp()
    return view
  }

  // ---------------------------------------------------------------- life

  /** A conversation that was here before: what is kept is known when it resolves, so that `unread` is right. */
  async opened(of: Viewed): Promise<void> {
    const view = this.#view(of)
    await view.loaded.catch(() => {}) // told
    if (of.history.rows - view.index.rows <= CATCH_UP_AT_START) this.changed(of)
  }

  /** Something new is in a conversation, or the conversation is new. */
  changed(of: Viewed): void {
    if (!this.#env.isHere(of)) return
    const view = this.#view(of)
    this.#env.tasks.run('the index of messages', async () => {
      await view.loaded
      await view.index.catchUp()
    })
  }

  /** Nothing is written any more when it resolves. */
  async forget(id: ConversationId): Promise<void> {
    const view = this.#views.get(id)
    this.#views.delete(id)
    await view?.loaded.catch(() => {})
    await view?.index.close(false)
  }

  async stop(): Promise<void> {
    await this.#env.clock.track(this.#patterns.stop())
    await Promise.all([...this.#views.values()].map(async ({ loaded, index }) => {
      await loaded.catch(() => {})
      await index.close(true)
    }))
  }

  // ---------------------------------------------------------------- messages

  async message(id: ConversationId, message: MessageId): Promise<MessageView | undefined> {
    const { of, projection } = await this.#current(id)
    const entry = await of.entry((await projection.rootOf(message)) ?? message) // a merge, or a vote, is itself
    return entry && projection.view(entry)
  }

  async *messages(id: ConversationId, range: Range = {}): AsyncGenerator<MessageView> {
    const { of, index, projection } = await this.#current(id)
    const { history } = of
    const place = (oid: MessageId): number => {
      const position = history.info(oid)?.position ?? -1
      if (position < 0) throw new JamiError('ERR_NOT_FOUND', `message ${oid} is not in conversation ${id}`, { details: { message: oid, conversation: id } })
      return position
    }
    const newest = () => (range.before === undefined ? history.length - 1 : place(range.before) - 1)
    const oldest = () => (range.after === undefined ? 0 : place(range.after) + 1)
    const step = range.order === 'oldest' ? 1 : -1
    const slices = new Slices(this.#env.clock, ROWS_AT_ONCE)
    let at = step > 0 ? oldest() : newest()
    let left = range.limit ?? Number.POSITIVE_INFINITY
    oldest() // both ends are checked at the first step
    newest()
    while (left > 0 && at >= oldest() && at <= newest()) {
      const { oid, row } = history.at(at)
      if (index.kind(row) === KIND.unknown) await index.catchUp() // came while somebody read
      const entry = isVisible(index.kind(row)) ? await of.entry(oid) : undefined
      if (entry) {
        left--
        yield await projection.view(entry)
      }
      at = place(oid) + step // a merge may have moved it meanwhile
      const turn = slices.spend(1)
      if (turn) await turn
    }
  }

  async *search(id: ConversationId, query: MessageQuery): AsyncGenerator<MessageView> {
    const { clock } = this.#env
    const { signal, timeoutMs = Number.POSITIVE_INFINITY } = query
    throwIfAborted(signal)
    const end = clock.now() + timeoutMs
    const step = <T>(work: () => Promise<T>) => withOp(clock, { ...(signal ? { signal } : {}), timeoutMs: Math.max(0, end - clock.now()) }, 'searching', work)
    const { of, index, projection } = await step(() => this.#current(id))
    const found = search({ clock, history: of.history, index, projection, patterns: this.#patterns, entry: (oid) => of.entry(oid) }, query)
    try {
      for (;;) {
        const { value, done } = await step(() => found.next())
        if (done) return
        yield value
      }
    } finally {
      void found.return(undefined).catch(() => {}) // what is under way must not hold up whoever leaves
    }
  }

  // ---------------------------------------------------------------- read and unread

  /** Newest place of main that a member has read; -1 when that is not known. */
  #readPosition(of: Viewed, member: AccountUri): number {
    return Math.max(-1, ...of.readBy(member).map((oid) => of.history.info(oid)?.position ?? -1))
  }

  lastRead(id: ConversationId, member: AccountUri): MessageId | undefined {
    const of = this.#env.get(id)
    const { index } = this.#view(of)
    let position = this.#readPosition(of, member)
    for (let steps = 0; position >= 0 && steps < ROWS_AT_ONCE; position--, steps++) {
      const { oid, row } = of.history.at(position)
      const kind = index.kind(row)
      if (isVisible(kind) || kind === KIND.unknown) return oid
    }
    return undefined
  }

  /** Costs what is new since it was asked last, and at first what is unread. */
  unread(id: ConversationId): number {
    const of = this.#env.get(id)
    const view = this.#view(of)
    const { history } = of
    const from = this.#readPosition(of, this.#env.own)
    const known = view.unread
    const same = known?.from === from && (known.exact || known.rows === view.index.rows) && history.at(known.position).oid === known.head ? known : undefined
    let count = 0
    let exact = same?.exact ?? true
    let position = history.length - 1
    for (; position > from && position > (same?.position ?? -1); position--) {
      const info = history.at(position)
      if (view.index.kind(info.row) === KIND.unknown) exact = false
      if (this.#isAnswer(view, info)) break
      if (this.#isNews(view, info)) count++
    }
    if (same && position === same.position) count += same.count
    view.unread = { head: history.head, position: history.length - 1, from, rows: view.index.rows, exact, count }
    return count
  }

  /** We wrote it, so we had read what was before. */
  #isAnswer({ index }: View, { author, row }: CommitInfo): boolean {
    const kind = index.kind(row)
    return author === this.#env.own && (isMessage(kind) || kind === KIND.edit || kind === KIND.reaction)
  }

  /** Somebody else wrote it for us to read. What is not looked at yet counts, unless it is a merge. */
  #isNews({ index }: View, { author, row, parents }: CommitInfo): boolean {
    const kind = index.kind(row)
    return author !== this.#env.own && (kind === KIND.unknown ? parents.length === 1 : isMessage(kind))
  }
}
