// One conversation on this device: its history, its members, who has what, what the program has handled. Whatever changes the history goes
// through one queue; validation of what peers send does not. docs/protocol/04 §1.6, §3, §4.6, §5.6. Proof: conversation/conversation.test.ts.
import { JamiError } from '@jamikit/core/base'
import { fromUtf8 } from '@jamikit/core/codec'
import type {
  AccountUri, BaseEnv, ConversationEntry, ConversationId, ConversationInfo, ConversationMode, DeviceIdentity, FileTree, MemberRole, MessageId, Storage,
} from '@jamikit/core/contracts'
import { type CommitBody, parseBody } from '../repo/commit-body.ts'
import { readFile } from '../repo/edit-tree.ts'
import { type GitObject, type Oid, repoInvalid } from '../repo/object.ts'
import type { ObjectCache } from '../repo/object-cache.ts'
import { Repository } from '../repo/repository.ts'
import type { Advance, CommitInfo, History, ObjectReader, ReceivedPack } from '../repo/types.ts'
import { authorIn } from '../validation/author.ts'
import { readInitial } from '../validation/rules/initial.ts'
import { Turns } from '../repo/turns.ts'
import { validateHistory } from '../validation/validate-history.ts'
import { Handled } from './handled.ts'
import { type MarkKind, Marks } from './marks.ts'
import { type Member, Members } from './members.ts'
import { bestBases, joints, mergeTrees, unknownOf } from './merging.ts'
import { entryOf } from './reading.ts'
import { SentKeys } from './sent-keys.ts'
import { type Draft, emptyFile, Writer } from './writer.ts'

export interface ConversationEnv extends Pick<BaseEnv, 'clock' | 'random' | 'crypto' | 'logger'> {
  readonly identity: DeviceIdentity
  readonly displayName: () => string
  readonly storage: Storage
  readonly files: FileTree
  /** Prefix of this conversation's records. */
  readonly prefix: string
  /** Objects of all conversations that were read lately. */
  readonly cache: ObjectCache
  /** What is wrong with what is kept. */
  readonly onProblem: (error: JamiError) => void
}

export interface Change {
  /** New on main, parents first. */
  readonly commits: readonly CommitInfo[]
  readonly head: Oid
}

type Seed = Pick<ConversationEnv, 'clock' | 'crypto' | 'identity' | 'displayName'>

export interface HistoryRange {
  readonly before?: MessageId
  readonly after?: MessageId
  readonly order?: 'newest' | 'oldest'
  readonly limit?: number
}

/** A character of a text costs as much as so many bytes that are only inflated. */
const TEXT_COST = 4

export class Conversation {
  readonly id: ConversationId
  readonly #env: ConversationEnv
  readonly #repo: Repository
  readonly #members: Members
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
    this.#marks = new Marks({ clock, history: repo, storage, prefix: `${prefix}/marks/`, own: identity.accountId })
    this.#handled = new Handled({ clock, history: repo, storage, key: `${prefix}/handled`, own: identity.accountId })
    this.#keys = new SentKeys(files)
    this.#writer = new Writer(env)
    this.#turns = new Turns(env.clock)
  }

  /** A new 1:1 conversation; on disk when it resolves. @param notBeforeS time of its first commit, at least */
  static async create(env: (id: ConversationId) => ConversationEnv, seed: Seed, peer: AccountUri, notBeforeS = 0): Promise<Conversation> {
    const writer = new Writer(seed)
    const first = await writer.first({ type: 'initial', fields: { mode: '0', invited: peer } }, new Map<string, GitObject>([
      [`admins/${writer.me}.crt`, writer.accountFile()], [writer.devicePath, writer.deviceFile()], [`invited/${peer}`, emptyFile()],
    ]), notBeforeS)
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
   * A clone: every commit is validated before anything is kept, and it is between the inviter and us (spec 03 §11.2 item 10).
   * @throws ERR_REPO_INVALID, ERR_LIMIT, ERR_NOT_MEMBER
   */
  static async clone(env: ConversationEnv, id: ConversationId, head: Oid, pack: ReceivedPack, inviter: AccountUri): Promise<Conversation> {
    const { commits, used } = await validateHistory(env, { conversation: id, head, pack, known: undefined })
    const me = env.identity.accountId
    const root = commits.find(({ oid }) => oid === id)
    const first = await pack.read(id)
    const { invited } = readInitial(bodyOf(first?.data ?? new Uint8Array(0)))
    const between = [root?.author, invited].sort().join(' and ')
    if (between !== [inviter, me].sort().join(' and ')) throw new JamiError('ERR_NOT_MEMBER', `conversation ${id}: got one between ${between}, allowed between ${inviter} and us`)
    const members = new Members(pack)
    await members.refresh(commits.find(({ oid }) => oid === head)?.tree ?? '', [])
    if (!['admin', 'member', 'invited'].includes(members.roleOf(me) ?? '')) throw new JamiError('ERR_NOT_MEMBER', `we are not invited to conversation ${id}`)
    const conversation = await Conversation.#make(env, id, { commits, pack: { received: pack, used }, head })
    await conversation.#handleAnswered()
    return conversation
  }

  static async #make(env: ConversationEnv, id: ConversationId, first: Advance & { readonly head: Oid }): Promise<Conversation> {
    const conversation = new Conversation(env, id, await Repository.create(env.files, first, repositoryOptions(env)))
    await conversation.#load()
    return conversation
  }

  /** Another device of ours has been here: what it wrote on top of, the account's program has had. What came later may be new. */
  async #handleAnswered(): Promise<void> {
    const { accountId } = this.#env.identity
    for (let position = this.#repo.length - 1; position >= 0; position--) {
      const { author, oid } = this.#repo.at(position)
      if (author === accountId) await this.#handled.add(oid)
    }
  }

  async #load(): Promise<void> {
    const root = await this.#repo.commit(this.id)
    const info = this.#repo.info(this.id)
    if (!root || !info) throw new JamiError('ERR_STORAGE_CORRUPT', `conversation ${this.id}: its first commit is missing`)
    const { mode, invited } = readInitial(parseBody(root.message))
    this.#mode = mode as ConversationMode
    this.#founders = [info.author, invited as AccountUri]
    await this.#refreshMembers()
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
    return { id: this.id, mode: this.#mode, state: 'ready', title: undefined, head: this.head }
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

  async #refreshMembers(): Promise<void> {
    await this.#members.refresh(this.#headInfo().tree, this.#founders)
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
  async *read(range: HistoryRange): AsyncGenerator<ConversationEntry> {
    const place = (oid: MessageId): number => {
      const position = this.#repo.info(oid)?.position ?? -1
      if (position < 0) throw new JamiError('ERR_NOT_FOUND', `message ${oid} is not in conversation ${this.id}`, { details: { message: oid, conversation: this.id } })
      return position
    }
    const newest = () => (range.before === undefined ? this.#repo.length - 1 : place(range.before) - 1)
    const oldest = () => (range.after === undefined ? 0 : place(range.after) + 1)
    const step = range.order === 'oldest' ? 1 : -1
    let at = step > 0 ? oldest() : newest()
    let left = range.limit ?? Number.POSITIVE_INFINITY
    oldest() // both ends are checked at the first step
    newest()
    while (left-- > 0 && at >= oldest() && at <= newest()) {
      const { oid } = this.#repo.at(at)
      const entry = await this.entry(oid)
      if (entry) yield entry
      at = place(oid) + step // a merge may have moved it meanwhile
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
    if (this.#ended || this.roleOf(member) === undefined) return []
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
    await this.#refreshMembers()
    return { commits: onMain, head: this.#repo.head }
  }

  #base() {
    const { oid, tree, timeS } = this.#headInfo()
    return { tree, parents: [{ oid, timeS }] }
  }

  async #write(draft: Draft): Promise<Change> {
    return this.#advance({ commits: [draft.commit], objects: draft.objects, head: draft.commit.oid })
  }

  /** Takes our place first when we are only invited yet. @throws ERR_NOT_MEMBER, ERR_ARGUMENT, ERR_LIMIT, ERR_STORAGE_IO: then nothing was sent, and the same key sends it */
  append(body: CommitBody, key: string | undefined): Promise<{ id: MessageId; change: Change | undefined }> {
    return this.#exclusive(async () => {
      const joined = await this.#joinFirst()
      const role = this.roleOf(this.#env.identity.accountId)
      if (role !== 'admin' && role !== 'member') throw new JamiError('ERR_NOT_MEMBER', `we are ${role ?? 'nobody'} in conversation ${this.id}`, { details: { conversation: this.id, role } })
      for (const [field, value] of Object.entries(body.fields)) if (value.includes('\0')) throw new JamiError('ERR_ARGUMENT', `${field}: got a NUL character, allowed text without`, { details: { field, got: 'NUL', allowed: 'text without NUL' } })
      const known = key === undefined ? undefined : await this.#keys.get(key)
      if (known !== undefined && this.#repo.has(known)) return { id: known as MessageId, change: joined }
      const draft = await this.#writer.draft(this.#repo, this.#base(), body)
      if (key !== undefined) await this.#keys.set(key, draft.commit.oid)
      const { commits, head } = await this.#write(draft)
      return { id: draft.commit.oid as MessageId, change: { commits: [...(joined?.commits ?? []), ...commits], head } }
    })
  }

  /** Takes our place when we are invited. */
  join(): Promise<Change | undefined> {
    return this.#exclusive(() => this.#joinFirst())
  }

  async #joinFirst(): Promise<Change | undefined> {
    const { me } = this.#writer
    if (this.roleOf(me) !== 'invited') return undefined
    return this.#write(await this.#writer.draft(this.#repo, this.#base(), { type: 'member', fields: { action: 'join', uri: me } }, new Map([
      [`invited/${me}`, undefined], [`members/${me}.crt`, this.#writer.accountFile()],
    ])))
  }

  /** True when a fetched head does not build on ours: a merge is due. */
  async diverged(head: Oid, pack: ReceivedPack): Promise<boolean> {
    const seen = new Set<Oid>() // bounded by the pack
    const open = [head]
    while (open.length > 0) {
      const oid = open.pop() as Oid
      if (oid === this.#repo.head) return false
      if (seen.has(oid) || !pack.has(oid)) continue
      seen.add(oid)
      if (seen.size > 4096) return false // a long way: nobody merges in between
      const object = await pack.read(oid)
      const pause = object && this.#turns.object(object.data.length)
      if (pause) await pause
      if (object?.type === 'commit') open.push(...parentsIn(object.data))
    }
    return true
  }

  /**
   * Takes in what was fetched: validates, then fast-forwards or merges. Undefined when it brought nothing.
   * @throws ERR_REPO_INVALID, ERR_LIMIT: the peer's fault; ERR_STORAGE_IO, ERR_STORAGE_CORRUPT: ours
   */
  async receive(head: Oid, pack: ReceivedPack): Promise<(Change & { merged: boolean }) | undefined> {
    if (this.#repo.has(head)) return undefined
    const { clock } = this.#env
    const validated = await validateHistory(this.#env, { conversation: this.id, head, pack, known: this.#repo })
    return this.#exclusive(async () => {
      const commits = await unknownOf(clock, this.#repo, validated.commits) // others may have brought them meanwhile
      const theirs = commits.findLast(({ oid }) => oid === head)
      if (!theirs) return undefined
      const common = await joints(clock, this.#repo, commits)
      const ours = this.#headInfo()
      const received = { received: pack, used: validated.used }
      if (common.has(ours.oid)) return { ...(await this.#advance({ commits, pack: received, head })), merged: false }
      if (!(await readFile(this.#repo, ours.tree, this.#writer.devicePath))) return undefined // a device that only reads: the writers merge
      const reader: ObjectReader = { read: async (oid) => (await this.#repo.read(oid)) ?? pack.read(oid), stat: async (oid) => (await this.#repo.stat(oid)) ?? pack.stat(oid) }
      const bases = bestBases(this.#repo, common).map((oid) => ({ head: oid, tree: this.#repo.info(oid)?.tree ?? '' }))
      if (bases.length === 0) throw repoInvalid('the histories have nothing in common')
      const { root, objects } = await mergeTrees(this.#env, reader, { ours: { head: ours.oid, tree: ours.tree }, theirs: { head, tree: theirs.tree }, bases })
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

const HEADER_BYTES = 400

/** Parents of a commit object, from its first lines; whether they are well formed is for validation to say. */
function parentsIn(data: Uint8Array): Oid[] {
  const text = fromUtf8(data.subarray(0, HEADER_BYTES).map((byte) => (byte < 0x80 ? byte : 0x3f)))
  return [...text.matchAll(/^parent ([0-9a-f]{40})$/gm)].slice(0, 3).map((match) => match[1] as Oid)
}

function bodyOf(commit: Uint8Array): CommitBody {
  const text = fromUtf8(commit)
  return parseBody(text.slice(text.indexOf('\n\n') + 2))
}

