// One conversation on this device: its history, its members, who has what, what the program has handled. Whatever changes the history goes
// through one queue; validation of what peers send does not. docs/protocol/04 §1.3, §1.6, §3, §4.6, §5.6, §8.1. Proof: conversation/conversation.test.ts,
// conversation/membership.test.ts.
import { JamiError } from '@jamikit/core/base'
import type {
  AccountUri, ConversationEntry, ConversationId, ConversationInfo, ConversationMode, DeviceId, MemberRole, MessageId,
} from '@jamikit/core/contracts'
import { type CommitBody, parseBody } from '../repo/commit-body.ts'
import { readFile } from '../repo/edit-tree.ts'
import { type GitObject, type Oid, repoInvalid } from '../repo/object.ts'
import { Repository } from '../repo/repository.ts'
import { paths } from '../repo/tree-paths.ts'
import type { Advance, CommitInfo, History, ObjectReader, ReceivedPack } from '../repo/types.ts'
import { authorIn } from '../validation/author.ts'
import { readInitial } from '../validation/rules/initial.ts'
import { Turns } from '../repo/turns.ts'
import { validateHistory } from '../validation/validate-history.ts'
import { mayJoin } from './admission.ts'
import { Card, readCard } from './card.ts'
import type { Change, ConversationEnv } from './conversation-env.ts'
import { Handled } from './handled.ts'
import { type MarkKind, Marks } from './marks.ts'
import { type Member, Members } from './members.ts'
import { drafted, introducing, joining, leaving, type Plan } from './membership.ts'
import { bestBases, diverges, joints, mergeTrees, unknownOf } from './merging.ts'
import { range, type HistoryRange } from './paging.ts'
import type { ProfileCard } from './profile-card.ts'
import { quotaError } from './quota.ts'
import { entryOf } from './reading.ts'
import { checkReferences } from './references.ts'
import { SentKeys } from './sent-keys.ts'
import { type Draft, emptyFile, Writer } from './writer.ts'

export type { Change, ConversationEnv } from './conversation-env.ts'

type Seed = Pick<ConversationEnv, 'clock' | 'crypto' | 'identity' | 'displayName'>

/** A character of a text costs as much as so many bytes that are only inflated. */
const TEXT_COST = 4

export class Conversation {
  readonly id: ConversationId
  readonly #env: ConversationEnv
  readonly #repo: Repository
  readonly #members: Members
  readonly #card: Card
  readonly #marks: Marks
  readonly #handled: Handled
  readonly #keys: SentKeys
  readonly #writer: Writer
  readonly #turns: Turns
  #founders: readonly AccountUri[] = []
  #mode: ConversationMode = 0
  #queue: Promise<unknown> = Promise.resolve()
  #ended = false

  private constructor(env: ConversationEnv, id: ConversationId, repo: Repository) {
    const { clock, storage, prefix, identity, files } = env
    this.#env = env
    this.id = id
    this.#repo = repo
    this.#members = new Members(repo)
    this.#card = new Card(repo)
    this.#marks = new Marks({ clock, history: repo, storage, prefix: `${prefix}/marks/`, own: identity.accountId })
    this.#handled = new Handled({ clock, history: repo, storage, key: `${prefix}/handled`, own: identity.accountId })
    this.#keys = new SentKeys(files)
    this.#writer = new Writer(env)
    this.#turns = new Turns(env.clock)
  }

  /** A new conversation: a 1:1 with `peer`, or a group of us alone; on disk when it resolves. @param timeS of its first commit. @throws ERR_ARGUMENT with `there` in `details` when it is there already */
  static async create(env: (id: ConversationId) => ConversationEnv, seed: Seed, peer: AccountUri | undefined, timeS?: number): Promise<Conversation> {
    const writer = new Writer(seed)
    const files = new Map<string, GitObject>([[paths.admin(writer.me), writer.accountFile()], [writer.devicePath, writer.deviceFile()]])
    if (peer !== undefined) files.set(paths.invited(peer), emptyFile())
    const first = await writer.first({ type: 'initial', fields: peer === undefined ? { mode: '2' } : { mode: '0', invited: peer } }, files, timeS)
    const id = first.commit.oid as ConversationId
    return Conversation.#make(env(id), id, { commits: [first.commit], objects: first.objects, head: id })
  }

  /** Undefined when there is none, or its creation was cut off. @throws ERR_STORAGE_CORRUPT, ERR_STORAGE_IO */
  static async open(env: ConversationEnv, id: ConversationId): Promise<Conversation | undefined> {
    await env.files.remove('jamikit/incoming') // packs that were on their way when the process ended
    const repo = await Repository.open(env.files, repositoryOptions(env))
    if (!repo) return undefined
    const conversation = new Conversation(env, id, repo)
    await conversation.#load()
    return conversation
  }

  /**
   * A clone: every commit is validated before anything is kept, a 1:1 is between the inviter and us, and in a group the inviter is a member
   * and we have a place (spec 03 §11.2 item 10). @param expected what we were invited to: whoever follows to a 1:1 gets into nothing else
   * @throws ERR_REPO_INVALID, ERR_LIMIT, ERR_NOT_MEMBER
   */
  static async clone(env: ConversationEnv, id: ConversationId, head: Oid, pack: ReceivedPack, inviter: AccountUri, expected: ConversationMode = 0): Promise<Conversation> {
    if (pack.bytes > env.maxBytes) throw quotaError(id, env.maxBytes, { got: pack.bytes })
    const { commits, used } = await validateHistory(env, { conversation: id, head, pack, known: undefined })
    await mayJoin(env.identity.accountId, { id, head, commits, pack, inviter, expected })
    const conversation = await Conversation.#make(env, id, { commits, pack: { received: pack, used }, head })
    await conversation.#handleAnswered()
    return conversation
  }

  static async #make(env: ConversationEnv, id: ConversationId, first: Advance & { readonly head: Oid }): Promise<Conversation> {
    const conversation = new Conversation(env, id, await Repository.create(env.files, first, repositoryOptions(env)))
    await conversation.#load()
    return conversation
  }

  /**
   * Another device of ours has been here: what it wrote on top of, the account's program has had. What came later may be new. Of a group, what
   * was said before we were invited was not for us; between two, it was.
   */
  async #handleAnswered(): Promise<void> {
    const { accountId } = this.#env.identity
    let invited = this.#mode === 0
    for (let position = this.#repo.length - 1; position >= 0; position--) {
      const { author, oid } = this.#repo.at(position)
      if (!invited && author !== accountId) {
        const entry = await this.entry(oid)
        invited = entry?.type === 'member' && entry.fields.action === 'add' && entry.fields.uri === accountId
        if (invited) await this.#handled.add(oid)
      }
      if (author !== accountId) continue
      invited = true
      await this.#handled.add(oid)
    }
  }

  async #load(): Promise<void> {
    const root = await this.#repo.commit(this.id)
    const info = this.#repo.info(this.id)
    if (!root || !info) throw new JamiError('ERR_STORAGE_CORRUPT', `conversation ${this.id}: its first commit is missing`)
    const { mode, invited } = readInitial(parseBody(root.message))
    this.#mode = mode as ConversationMode
    this.#founders = invited === undefined ? [] : [info.author, invited as AccountUri] // who made a group and left is not shown
    await this.#refresh()
    const problems = await this.#marks.load()
    await this.#handled.load().catch((error: unknown) => problems.push(error))
    for (const problem of problems) this.#env.onProblem(new JamiError('ERR_STORAGE_CORRUPT', `conversation ${this.id}: a record cannot be read`, { cause: problem }))
  }

  // ---------------------------------------------------------------- what there is

  /** Unix seconds of its first commit. */
  get createdS(): number {
    return this.#repo.row(0).timeS
  }

  get head(): MessageId {
    return this.#repo.head
  }

  get history(): History {
    return this.#repo
  }

  get info(): ConversationInfo {
    return { id: this.id, mode: this.#mode, state: 'ready', title: this.#card.title, head: this.head }
  }

  get members(): readonly Member[] {
    return this.#members.list
  }

  get mode(): ConversationMode {
    return this.#mode
  }

  has(oid: Oid): boolean {
    return this.#repo.has(oid)
  }

  roleOf(uri: AccountUri): MemberRole | undefined {
    return this.#members.roleOf(uri)
  }

  /** By the tree of main: nothing is taken from them, nothing given. */
  isBanned(uri: AccountUri, device?: DeviceId): boolean {
    return this.#members.isBanned(uri, device)
  }

  /** Of main. */
  profile(): Promise<ProfileCard> {
    return readCard(this.#repo, this.#headInfo().tree)
  }

  /** What is known of main's tree without reading it. */
  async #refresh(): Promise<Pick<Change, 'banned' | 'profile'>> {
    const { tree } = this.#headInfo()
    return { banned: await this.#members.refresh(tree, this.#founders), profile: await this.#card.refresh(tree) }
  }

  #headInfo(): CommitInfo {
    return this.#repo.at(this.#repo.length - 1)
  }

  async entry(oid: Oid): Promise<ConversationEntry | undefined> {
    const info = this.#repo.info(oid)
    const commit = info && (await this.#repo.commit(oid))
    const pause = commit && this.#turns.object(commit.message.length * TEXT_COST) // whoever reads many of them reads in a loop
    if (pause) await pause
    return info && commit && entryOf(this.id, info, commit)
  }

  /** In linear order. What comes while somebody reads is not in it, unless it was placed among what is still to come. */
  async *read(of: HistoryRange): AsyncGenerator<ConversationEntry> {
    for (const oid of range(this.#repo, this.id, of)) {
      const entry = await this.entry(oid)
      if (entry) yield entry
    }
  }

  // ---------------------------------------------------------------- handled by the program

  async *unacknowledged(): AsyncGenerator<ConversationEntry> {
    for (const { oid } of this.#handled.open()) {
      const entry = await this.entry(oid)
      if (entry) yield entry
    }
  }

  /** @throws ERR_NOT_FOUND */
  async acknowledge(oid: Oid): Promise<void> {
    this.#check()
    if (!this.#repo.has(oid)) throw new JamiError('ERR_NOT_FOUND', `message ${oid} is not in conversation ${this.id}`, { details: { message: oid, conversation: this.id } })
    await this.#handled.add(oid)
  }

  // ---------------------------------------------------------------- who has what

  statusOf(message: MessageId, member: AccountUri): { status: MarkKind; atMs: number } | undefined {
    return this.#marks.statusOf(message, member)
  }

  /** A member has (or has seen) a commit and all before it. @returns own messages that are newly covered, oldest first */
  async note(member: AccountUri, oid: Oid, kind: MarkKind): Promise<MessageId[]> {
    if (this.#ended || (this.roleOf(member) ?? 'banned') === 'banned' || this.isBanned(member)) return []
    return this.#marks.note(member, oid, kind, this.#env.clock.wallTimeMs())
  }

  /** Commits up to which a member has read, newest last. */
  readBy(member: AccountUri): readonly Oid[] {
    return this.#marks.headsOf(member, 'displayed')
  }

  /** Marks that waited for commits which are here now. */
  dueMarks(): { member: AccountUri; oid: Oid; kind: MarkKind }[] {
    return [...this.#marks.due()]
  }

  /** What to tell a member's device that we have: what it has itself, our head, then ever wider steps back. */
  haves(member: AccountUri, count: number): Oid[] {
    const out = new Set<Oid>(this.#marks.headsOf(member).filter((oid) => this.#repo.has(oid)).slice(-4))
    out.add(this.#repo.head)
    for (let back = 1; out.size < count && this.#repo.length - 1 - back > 0; back *= 2) out.add(this.#repo.at(this.#repo.length - 1 - back).oid)
    out.add(this.id)
    return [...out].slice(0, count)
  }

  // ---------------------------------------------------------------- writing

  #check(): void {
    if (this.#ended) throw new JamiError('ERR_NOT_FOUND', `conversation ${this.id} is not here any more`)
  }

  get maxBytes(): number {
    return this.#env.maxBytes
  }

  /** How many bytes of others it still takes. */
  async room(): Promise<number> {
    return Math.max(0, this.maxBytes - (await this.#repo.bytes()))
  }

  /** One writer at a time. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(() => {
      this.#check()
      return work()
    })
    this.#queue = run.catch(() => {})
    return run
  }

  async #advance(change: Advance): Promise<Change> {
    const { onMain } = await this.#repo.advance(change)
    return { commits: onMain, head: this.#repo.head, ...(await this.#refresh()) }
  }

  #base() {
    const { oid, tree, timeS } = this.#headInfo()
    return { tree, parents: [{ oid, timeS }] }
  }

  /** Commits that are planned one on the other and written in one step: all are there, or none. Undefined when there was nothing to write. */
  change(...plans: readonly Plan[]): Promise<Change | undefined> {
    return this.#exclusive(async () => {
      const drafts = await this.#draft(plans)
      return drafts.length > 0 ? this.#write(drafts) : undefined
    })
  }

  #draft(plans: readonly Plan[]): Promise<Draft[]> {
    return drafted(this.#repo, this.#writer, this.#base(), plans)
  }

  async #write(drafts: readonly Draft[]): Promise<Change> {
    return this.#advance({ commits: drafts.map(({ commit }) => commit), objects: drafts.flatMap(({ objects }) => objects), head: drafts.at(-1)?.commit.oid })
  }

  /** Takes our place first when we are only invited yet. @throws ERR_NOT_MEMBER, ERR_NOT_FOUND (what it names), ERR_ARGUMENT, ERR_LIMIT, ERR_STORAGE_IO: then nothing was sent, and the same key sends it */
  append(body: CommitBody, key: string | undefined): Promise<{ id: MessageId; change: Change | undefined }> {
    return this.#exclusive(async () => {
      const role = this.roleOf(this.#writer.me)
      if (role !== 'admin' && role !== 'member' && role !== 'invited') throw new JamiError('ERR_NOT_MEMBER', `we are ${role ?? 'nobody'} in conversation ${this.id}`, { details: { conversation: this.id, role } })
      for (const [field, value] of Object.entries(body.fields)) if (value.includes('\0')) throw new JamiError('ERR_ARGUMENT', `${field}: got a NUL character, allowed text without`, { details: { field, got: 'NUL', allowed: 'text without NUL' } })
      await checkReferences(this.#repo, this.id, this.#writer.me, body)
      const known = key === undefined ? undefined : await this.#keys.get(key)
      if (known !== undefined && this.#repo.has(known)) return { id: known as MessageId, change: undefined }
      const drafts = await this.#draft([joining, async () => ({ body })])
      const id = drafts.at(-1)?.commit.oid as MessageId
      if (key !== undefined) await this.#keys.set(key, id)
      return { id, change: await this.#write(drafts) }
    })
  }

  /** Takes our place when we are invited. */
  join(): Promise<Change | undefined> {
    return this.change(joining)
  }

  /** Leaves when we are in, then runs `work`; when that succeeds nothing changes it any more, and its history can still be read. @returns the leave */
  leave(work: () => Promise<void>): Promise<Change | undefined> {
    return this.#exclusive(async () => {
      const drafts = await this.#draft([introducing, leaving])
      const change = drafts.length > 0 ? await this.#write(drafts) : undefined
      await work()
      this.#ended = true
      return change
    })
  }

  /** Set when a fetched head does not build on ours: a merge is due. */
  diverged(head: Oid, pack: ReceivedPack): Promise<{ shows: boolean } | undefined> {
    return diverges(this.#repo, this.#turns, head, pack)
  }

  /**
   * Takes in what was fetched: validates, then fast-forwards or merges. Undefined when it brought nothing.
   * @throws ERR_REPO_INVALID, ERR_LIMIT: the peer's fault, or more than may be kept; ERR_STORAGE_IO, ERR_STORAGE_CORRUPT: ours
   */
  async receive(head: Oid, pack: ReceivedPack): Promise<(Change & { merged: boolean }) | undefined> {
    if (this.#repo.has(head)) return undefined
    const { clock } = this.#env
    const validated = await validateHistory(this.#env, { conversation: this.id, head, pack, known: this.#repo })
    return this.#exclusive(async () => {
      const commits = await unknownOf(clock, this.#repo, validated.commits) // others may have brought them meanwhile
      const theirs = commits.findLast(({ oid }) => oid === head)
      if (!theirs) return undefined
      const bytes = pack.bytes + (await this.#repo.bytes())
      if (bytes > this.maxBytes) throw quotaError(this.id, this.maxBytes, { got: bytes, head })
      const common = await joints(clock, this.#repo, commits)
      const ours = this.#headInfo()
      const received = { received: pack, used: validated.used }
      if (common.has(ours.oid)) return { ...(await this.#advance({ commits, pack: received, head })), merged: false }
      if (!(await readFile(this.#repo, ours.tree, this.#writer.devicePath))) return undefined // a device that only reads: the writers merge
      const reader: ObjectReader = { read: async (oid) => (await this.#repo.read(oid)) ?? pack.read(oid), stat: async (oid) => (await this.#repo.stat(oid)) ?? pack.stat(oid) }
      const bases = bestBases(this.#repo, common).map((oid) => ({ head: oid, tree: this.#repo.info(oid)?.tree ?? '' }))
      if (bases.length === 0) throw repoInvalid('the histories have nothing in common')
      const { root, objects } = await mergeTrees(this.#env, reader, { ours: { head: ours.oid, tree: ours.tree }, theirs: { head, tree: theirs.tree }, bases }, this.#env.identity)
      const merge = await this.#writer.sign(root, [ours, theirs], `Merge commit '${head}'`, objects)
      return { ...(await this.#advance({ commits: [...commits, merge.commit], objects: merge.objects, pack: received, head: merge.commit.oid })), merged: true }
    })
  }

  /** Writes a bare git repository elsewhere; changes wait meanwhile. */
  exportTo(write: (path: string, chunks: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
    return this.#exclusive(() => this.#repo.exportTo(write))
  }

  /** Runs `work` after the changes before it; when it succeeds, nothing changes this conversation any more. */
  async end(work: () => Promise<void>): Promise<void> {
    await this.#exclusive(async () => {
      await work()
      this.#ended = true
    })
    await this.close()
  }

  /** No further change; resolves when the running ones are over and what is kept is in order. */
  async close(): Promise<void> {
    this.#ended = true
    await this.#queue
    await Promise.all([this.#marks.idle(), this.#handled.idle()])
    await this.#repo.close()
  }
}

function repositoryOptions(env: ConversationEnv) {
  const { clock, random, onProblem, cache } = env
  return { clock, onProblem, cache, authorOf: authorIn, seed: random.below(2 ** 31) }
}
