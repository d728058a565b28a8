// One conversation on this device: its repository, who has what, what the program has handled. All writes go through one queue.
// docs/protocol/04 §1.6, §3, §4.6, §5.6. Proof: conversation/conversations.test.ts.
import { JamiError } from '@jamikit/core/base'
import { asArray, asMap, asString, decodeMsgpack, encodeMsgpack, utf8 } from '@jamikit/core/codec'
import type {
  AccountUri, BaseEnv, ConversationEntry, ConversationId, ConversationInfo, ConversationMode, DeviceIdentity, FileTree, MemberRole, MessageId, Storage,
} from '@jamikit/core/contracts'
import { MAX_KEYS } from '../defaults.ts'
import { authorName, type Commit, parseCommit, signedCommit, unsignedCommit } from '../repo/commit.ts'
import { type CommitBody, parseBody, printBody } from '../repo/commit-body.ts'
import { decodeTree, EMPTY_BLOB, type GitObject, objectId, type Oid, repoInvalid } from '../repo/object.ts'
import { buildTrees, flatten, type Paths, Repository } from '../repo/repository.ts'
import { mergePaths, virtualBase } from '../sync/merge.ts'
import { authorOf, validateCommit, type ValidationContext } from '../validation/validate-commit.ts'

export interface ConversationEnv extends Pick<BaseEnv, 'clock' | 'crypto' | 'logger'> {
  readonly identity: DeviceIdentity
  readonly displayName: () => string
  readonly storage: Storage
  readonly files: FileTree
  /** Prefix of this conversation's records. */
  readonly prefix: string
}

export interface Change {
  /** New entries, parents first. */
  readonly entries: readonly ConversationEntry[]
  readonly head: Oid
}

const blob = (data: Uint8Array): GitObject => ({ type: 'blob', data })

/** Objects and id of a fresh 1:1 conversation. */
async function firstCommit(env: ConversationEnv, peer: AccountUri): Promise<{ id: ConversationId; objects: GitObject[] }> {
  const { identity } = env
  const [device, ...account] = identity.chain
  const files: [string, GitObject][] = [
    [`admins/${identity.accountId}.crt`, blob(utf8(account.map((c) => c.pem).join('')))],
    [`devices/${identity.deviceId}.crt`, blob(utf8(device.pem))],
    [`invited/${peer}`, blob(EMPTY_BLOB)],
  ]
  const { root, objects } = buildTrees(new Map(files.map(([path, object]) => [path, objectId(object)])))
  const commit = await signCommit(env, { tree: root, parents: [], message: printBody({ type: 'initial', fields: { mode: '0', invited: peer } }) })
  return { id: objectId(commit) as ConversationId, objects: [...files.map(([, object]) => object), ...objects, commit] }
}

async function signCommit(env: ConversationEnv, c: { tree: Oid; parents: readonly Oid[]; message: string }): Promise<GitObject> {
  const { identity, clock, crypto } = env
  const unsigned = unsignedCommit({ ...c, name: authorName(env.displayName(), identity.deviceId), device: identity.deviceId, timeS: Math.floor(clock.wallTimeMs() / 1000) })
  return { type: 'commit', data: signedCommit(unsigned, await clock.track(crypto.sign(identity.privateKey, unsigned))) }
}

export class Conversation {
  readonly id: ConversationId
  readonly #env: ConversationEnv
  readonly #repo: Repository
  #queue: Promise<unknown> = Promise.resolve()
  readonly #authors = new Map<Oid, AccountUri>() // one per commit of the history
  #members: ConversationInfo['members'] = []
  /** Handled by the program: heads of a set that is closed under ancestors. */
  #acknowledged: Set<Oid> = new Set()
  #acknowledgedHeads: Oid[] = []
  readonly #fetched = new Map<AccountUri, Oid>() // bounded by the members
  readonly #read = new Map<AccountUri, Oid>() // bounded by the members

  private constructor(env: ConversationEnv, id: ConversationId, repo: Repository) {
    this.#env = env
    this.id = id
    this.#repo = repo
  }

  static async create(env: (id: ConversationId) => ConversationEnv, seed: Omit<ConversationEnv, 'files' | 'prefix'>, peer: AccountUri): Promise<Conversation> {
    const { id, objects } = await firstCommit({ ...seed, files: undefined as never, prefix: '' }, peer)
    const own = env(id)
    const conversation = new Conversation(own, id, await Repository.create(own.files, id, objects))
    await conversation.#load()
    return conversation
  }

  /** @throws ERR_STORAGE_CORRUPT */
  static async open(env: ConversationEnv, id: ConversationId): Promise<Conversation | undefined> {
    const repo = await Repository.open(env.files)
    if (!repo) return undefined
    const conversation = new Conversation(env, id, repo)
    await conversation.#load()
    return conversation
  }

  /**
   * A clone: every commit is validated before anything is kept, and it is between the inviter and us (spec 03 §11.2 item 10).
   * @throws ERR_REPO_INVALID, ERR_NOT_MEMBER
   */
  static async clone(env: ConversationEnv, id: ConversationId, head: Oid, objects: ReadonlyMap<Oid, GitObject>, inviter: AccountUri): Promise<Conversation> {
    const { commits, used } = await validateAll(env, id, head, objects, undefined)
    const me = env.identity.accountId
    const root = commits.get(id) as Commit
    const [creator] = [...(await flatten(async (oid) => objects.get(oid), root.tree)).keys()].flatMap((path) => /^admins\/([0-9a-f]{40})\.crt$/.exec(path)?.[1] ?? [])
    const between = [creator, parseBody(root.message).fields.invited].sort().join(' and ')
    if (between !== [inviter, me].sort().join(' and ')) throw new JamiError('ERR_NOT_MEMBER', `conversation ${id}: got one between ${between}, allowed between ${inviter} and us`)
    const paths = await flatten(async (oid) => objects.get(oid), (commits.get(head) as Commit).tree)
    if (!paths.has(`invited/${me}`) && !paths.has(`members/${me}.crt`) && !paths.has(`admins/${me}.crt`))
      throw new JamiError('ERR_NOT_MEMBER', `we are not invited to conversation ${id}`)
    const conversation = new Conversation(env, id, await Repository.create(env.files, head, used))
    await conversation.#load()
    await conversation.#acknowledgeAnswered()
    return conversation
  }

  /** Another device of ours has been here: what it wrote on top of, the account's program has had. What came later may be new. */
  async #acknowledgeAnswered(): Promise<void> {
    const { identity, prefix, storage } = this.#env
    const heads: Oid[] = []
    const covered = new Set<Oid>()
    for (const oid of this.#repo.linear(this.#repo.reachable([this.#repo.head]))) {
      if (covered.has(oid) || (await this.#authorUri(oid)) !== identity.accountId) continue
      heads.push(oid)
      for (const c of this.#repo.reachable([oid], covered)) covered.add(c)
    }
    if (heads.length === 0) return
    await storage.batch([{ key: `${prefix}/acknowledged`, value: encodeMsgpack(heads) }])
    this.#acknowledgedHeads = heads
    this.#acknowledged = covered
  }

  get head(): MessageId {
    return this.#repo.head as MessageId
  }

  get repository(): Repository {
    return this.#repo
  }

  get info(): ConversationInfo {
    return { id: this.id, mode: this.mode, state: 'ready', members: this.#members, head: this.head }
  }

  get mode(): ConversationMode {
    return Number(parseBody(this.#repo.commit(this.id)?.message ?? '{}').fields.mode ?? 0) as ConversationMode
  }

  has(oid: Oid): boolean {
    return this.#repo.has(oid)
  }

  roleOf(uri: AccountUri): MemberRole | undefined {
    return this.#members.find((m) => m.uri === uri)?.role
  }

  // ---------------------------------------------------------------- state

  async #load(): Promise<void> {
    const { storage, prefix } = this.#env
    const acked = await storage.get(`${prefix}/acknowledged`)
    if (acked) this.#acknowledgedHeads = asArray(decodeMsgpack(acked), 'acknowledged').map((oid) => asString(oid, 'commit', 40))
    this.#acknowledged = this.#repo.reachable(this.#acknowledgedHeads)
    const status = await storage.get(`${prefix}/status`)
    if (status) {
      const map = asMap(decodeMsgpack(status), 'status')
      for (const [name, target] of [['fetched', this.#fetched], ['read', this.#read]] as const)
        for (const [uri, oid] of asMap(map.get(name) ?? new Map(), name)) target.set(asString(uri, 'member', 40) as AccountUri, asString(oid, 'commit', 40))
    }
    await this.#refreshMembers()
  }

  async #refreshMembers(): Promise<void> {
    const paths = await this.#repo.headPaths()
    const roles = new Map<AccountUri, MemberRole>()
    for (const [prefix, role] of [['admins/', 'admin'], ['members/', 'member'], ['invited/', 'invited'], ['banned/members/', 'banned'], ['banned/invited/', 'banned']] as const) {
      for (const path of paths.keys()) {
        if (!path.startsWith(prefix)) continue
        const uri = path.slice(prefix.length).replace(/\.crt$/, '') as AccountUri
        if (/^[0-9a-f]{40}$/.test(uri) && !roles.has(uri)) roles.set(uri, role)
      }
    }
    const invited = parseBody(this.#repo.commit(this.id)?.message ?? '{}').fields.invited as AccountUri | undefined
    const creator = await this.#authorUri(this.id)
    for (const uri of [creator, invited]) if (uri && !roles.has(uri)) roles.set(uri, 'left')
    this.#members = [...roles].map(([uri, role]) => ({ uri, role }))
  }

  async #authorUri(oid: Oid): Promise<AccountUri | undefined> {
    const known = this.#authors.get(oid)
    if (known) return known
    const commit = this.#repo.commit(oid)
    const uri = commit && (await authorOf({ paths: (tree) => this.#repo.paths(tree), blob: (b) => this.#repo.blob(b), commit: (c) => this.#repo.commit(c) }, commit))
    if (uri) this.#authors.set(oid, uri)
    return uri
  }

  async entry(oid: Oid): Promise<ConversationEntry | undefined> {
    const commit = this.#repo.commit(oid)
    const author = await this.#authorUri(oid)
    if (!commit || !author) return undefined
    const body: CommitBody = commit.parents.length > 1 ? { type: 'merge', fields: { body: commit.message } } : parseBody(commit.message)
    return {
      id: oid as MessageId, conversation: this.id, parents: commit.parents as MessageId[], author, device: commit.device,
      timeMs: commit.committerTimeS * 1000, type: body.type, fields: body.fields,
    }
  }

  async *history(options: { before?: MessageId; after?: MessageId; order?: 'newest' | 'oldest'; limit?: number }): AsyncGenerator<ConversationEntry> {
    for (const oid of [options.before, options.after]) if (oid !== undefined && !this.#repo.has(oid)) throw new JamiError('ERR_NOT_FOUND', `message ${oid} is not in conversation ${this.id}`)
    let list = this.#repo.linear(this.#repo.reachable([this.#repo.head]))
    if (options.before !== undefined) list = list.slice(list.indexOf(options.before) + 1)
    if (options.after !== undefined) list = list.slice(0, list.indexOf(options.after))
    if (options.order === 'oldest') list.reverse()
    for (const oid of list.slice(0, options.limit ?? list.length)) {
      const entry = await this.entry(oid)
      if (entry) yield entry
    }
  }

  // ---------------------------------------------------------------- handled by the program

  async *unacknowledged(): AsyncGenerator<ConversationEntry> {
    const open = this.#repo.linear(this.#repo.reachable([this.#repo.head], this.#acknowledged)).reverse()
    for (const oid of open) {
      if (this.#acknowledged.has(oid)) continue
      const entry = await this.entry(oid)
      if (entry && entry.author !== this.#env.identity.accountId) yield entry
    }
  }

  async acknowledge(oid: Oid): Promise<void> {
    if (!this.#repo.has(oid)) throw new JamiError('ERR_NOT_FOUND', `message ${oid} is not in conversation ${this.id}`)
    if (this.#acknowledged.has(oid)) return
    const covered = this.#repo.reachable([oid], this.#acknowledged)
    const heads = [...this.#acknowledgedHeads.filter((head) => !this.#repo.isAncestor(head, oid)), oid]
    await this.#env.storage.batch([{ key: `${this.#env.prefix}/acknowledged`, value: encodeMsgpack(heads) }])
    this.#acknowledgedHeads = heads
    for (const c of covered) this.#acknowledged.add(c)
  }

  // ---------------------------------------------------------------- who has what

  statusOf(message: MessageId, member: AccountUri): 'sent' | 'displayed' | undefined {
    const read = this.#read.get(member)
    if (read && this.#repo.isAncestor(message, read)) return 'displayed'
    const fetched = this.#fetched.get(member)
    return fetched && this.#repo.isAncestor(message, fetched) ? 'sent' : undefined
  }

  /** A member has (or has seen) a commit and all before it. @returns own messages that are newly covered, oldest first */
  async note(member: AccountUri, oid: Oid, what: 'sent' | 'displayed'): Promise<MessageId[]> {
    if (!this.#repo.has(oid) || !this.#members.some((m) => m.uri === member)) return []
    const marks = what === 'sent' ? this.#fetched : this.#read
    const old = marks.get(member)
    if (old && this.#repo.isAncestor(oid, old)) return []
    const next = old && !this.#repo.isAncestor(old, oid) ? undefined : oid
    if (next === undefined) return [] // beside the old mark: a later merge covers both
    marks.set(member, oid)
    const map = (m: ReadonlyMap<AccountUri, Oid>) => Object.fromEntries(m)
    await this.#env.storage.batch([{ key: `${this.#env.prefix}/status`, value: encodeMsgpack({ fetched: map(this.#fetched), read: map(this.#read) }) }])
    const covered = this.#repo.linear(this.#repo.reachable([oid], old ? this.#repo.reachable([old]) : new Set())).reverse()
    const out: MessageId[] = []
    for (const c of covered) if ((await this.#authorUri(c)) === this.#env.identity.accountId) out.push(c as MessageId)
    return out
  }

  // ---------------------------------------------------------------- writing

  /** One writer at a time. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(work, work)
    this.#queue = run.catch(() => {})
    return run
  }

  /** The device's certificate comes with its first commit. */
  async #ownPaths(): Promise<{ paths: Map<string, Oid>; objects: GitObject[] }> {
    const paths = new Map(await this.#repo.headPaths())
    const { identity } = this.#env
    const path = `devices/${identity.deviceId}.crt`
    if (paths.has(path)) return { paths, objects: [] }
    const certificate = blob(utf8(identity.chain[0].pem))
    paths.set(path, objectId(certificate))
    return { paths, objects: [certificate] }
  }

  async #write(body: CommitBody, change?: { paths: Map<string, Oid>; objects: GitObject[] }): Promise<Change> {
    const { paths, objects } = change ?? (await this.#ownPaths())
    const trees = buildTrees(paths)
    const same = trees.root === this.#repo.commit(this.#repo.head)?.tree
    const object = await signCommit(this.#env, { tree: trees.root, parents: [this.#repo.head], message: printBody(body) })
    return this.#advance(object, same ? [] : [...objects, ...trees.objects])
  }

  async #advance(object: GitObject, others: readonly GitObject[], commits: ReadonlyMap<Oid, Commit> = new Map()): Promise<Change> {
    const head = objectId(object)
    const before = this.#repo.reachable([this.#repo.head])
    await this.#repo.advance(head, [...others, object], new Map([...commits, [head, parseCommit(object.data)]]))
    return this.#changed(before)
  }

  async #changed(before: ReadonlySet<Oid>): Promise<Change> {
    await this.#refreshMembers()
    const entries: ConversationEntry[] = []
    for (const oid of this.#repo.linear(this.#repo.reachable([this.#repo.head], before)).reverse()) {
      const entry = await this.entry(oid)
      if (entry) entries.push(entry)
    }
    return { entries, head: this.#repo.head }
  }

  /** @throws ERR_NOT_MEMBER, ERR_ARGUMENT */
  append(body: CommitBody, key: string | undefined): Promise<{ id: MessageId; change: Change | undefined }> {
    return this.#exclusive(async () => {
      const { storage, prefix, identity } = this.#env
      const role = this.roleOf(identity.accountId)
      if (role !== 'admin' && role !== 'member') throw new JamiError('ERR_NOT_MEMBER', `we are ${role ?? 'nobody'} in conversation ${this.id}`)
      for (const value of Object.values(body.fields)) if (value.includes('\0')) throw new JamiError('ERR_ARGUMENT', 'message: got a NUL character')
      const keys = key === undefined ? undefined : await this.#keys()
      const known = key === undefined ? undefined : keys?.get(key)
      if (known && this.#repo.has(known)) return { id: known as MessageId, change: undefined }
      if (!keys || key === undefined) {
        const change = await this.#write(body)
        return { id: change.head as MessageId, change }
      }
      // the key is durable before main moves: a crash in between leaves a commit that nobody reaches, and the key is used again
      const { paths, objects } = await this.#ownPaths()
      const trees = buildTrees(paths)
      const object = await signCommit(this.#env, { tree: trees.root, parents: [this.#repo.head], message: printBody(body) })
      if (keys.size >= MAX_KEYS) keys.delete(keys.keys().next().value as string)
      keys.set(key, objectId(object))
      await storage.batch([{ key: `${prefix}/keys`, value: encodeMsgpack(Object.fromEntries(keys)) }])
      const change = await this.#advance(object, [...objects, ...trees.objects])
      return { id: change.head as MessageId, change }
    })
  }

  async #keys(): Promise<Map<string, Oid>> {
    const bytes = await this.#env.storage.get(`${this.#env.prefix}/keys`)
    const out = new Map<string, Oid>()
    if (bytes) for (const [k, oid] of asMap(decodeMsgpack(bytes, { maxItems: 4 * MAX_KEYS }), 'keys')) out.set(asString(k, 'key', 400), asString(oid, 'commit', 40))
    return out
  }

  /** Takes our place when we are invited. */
  join(): Promise<Change | undefined> {
    return this.#exclusive(async () => {
      const { identity } = this.#env
      const { paths, objects } = await this.#ownPaths()
      const me = identity.accountId
      if (paths.has(`members/${me}.crt`) || paths.has(`admins/${me}.crt`) || !paths.has(`invited/${me}`)) return undefined
      const [, ...account] = identity.chain
      const certificate = blob(utf8(account.map((c) => c.pem).join('')))
      paths.delete(`invited/${me}`)
      paths.set(`members/${me}.crt`, objectId(certificate))
      return this.#write({ type: 'member', fields: { action: 'join', uri: me } }, { paths, objects: [...objects, certificate] })
    })
  }

  /** Takes in what was fetched: validates, then fast-forwards or merges. Undefined when it brought nothing. @throws ERR_REPO_INVALID */
  receive(head: Oid, objects: ReadonlyMap<Oid, GitObject>): Promise<(Change & { merged: boolean }) | undefined> {
    return this.#exclusive(async () => {
      const ours = this.#repo.head
      const before = this.#repo.reachable([ours])
      if (before.has(head)) return undefined
      const { commits, used } = await validateAll(this.#env, this.id, head, objects, this.#repo)
      const reaches = (from: Oid): boolean => {
        const open = [from]
        const seen = new Set<Oid>()
        while (open.length > 0) {
          const oid = open.pop() as Oid
          if (oid === ours) return true
          if (seen.has(oid) || before.has(oid)) continue
          seen.add(oid)
          const commit = commits.get(oid) ?? this.#repo.commit(oid)
          if (commit) open.push(...commit.parents)
        }
        return false
      }
      if (reaches(head)) {
        await this.#repo.advance(head, used, commits)
        return { ...(await this.#changed(before)), merged: false }
      }
      await this.#repo.advance(ours, used, commits) // known, but not yet on main: the merge commit makes them so
      if (!(await this.#repo.headPaths()).has(`devices/${this.#env.identity.deviceId}.crt`)) return undefined // a device that only reads: the writers merge
      const bases = this.#repo.mergeBases(ours, head)
      if (bases.length === 0) throw repoInvalid('the histories have nothing in common')
      const at = async (oid: Oid): Promise<Paths> => this.#repo.paths((this.#repo.commit(oid) as Commit).tree)
      const base = virtualBase(await Promise.all(bases.map(async (oid) => ({ head: oid, paths: await at(oid) }))))
      const [mine, theirs] = [await at(ours), await at(head)]
      const paths = mergePaths(base, mine, theirs, ours, head)
      const trees = buildTrees(paths)
      const object = await signCommit(this.#env, { tree: trees.root, parents: [ours, head], message: `Merge commit '${head}'` })
      await this.#repo.advance(objectId(object), [...trees.objects, object], new Map([[objectId(object), parseCommit(object.data)]]))
      return { ...(await this.#changed(before)), merged: true }
    })
  }
}

/** Validates everything reachable from a head that is not known, parents first, all or nothing. @returns the commits, and the objects they need */
async function validateAll(
  env: ConversationEnv,
  conversation: ConversationId,
  head: Oid,
  objects: ReadonlyMap<Oid, GitObject>,
  repo: Repository | undefined,
): Promise<{ commits: Map<Oid, Commit>; used: GitObject[] }> {
  const commits = new Map<Oid, Commit>() // bounded by the objects of one fetch
  const order: Oid[] = []
  const open: { oid: Oid; done: boolean }[] = [{ oid: head, done: false }]
  while (open.length > 0) {
    const { oid, done } = open.pop() as { oid: Oid; done: boolean }
    if (done) {
      order.push(oid)
      continue
    }
    if (commits.has(oid) || repo?.has(oid)) continue
    const object = objects.get(oid)
    if (object?.type !== 'commit') throw repoInvalid(`commit ${oid} is missing`)
    const commit = parseCommit(object.data)
    commits.set(oid, commit)
    open.push({ oid, done: true })
    for (const parent of commit.parents) open.push({ oid: parent, done: false })
  }
  const read = async (oid: Oid): Promise<GitObject | undefined> => objects.get(oid) ?? (await repo?.read(oid))
  const trees = new Map<Oid, Paths>() // bounded by the commits
  const context: ValidationContext = {
    conversation, crypto: env.crypto,
    paths: async (tree) => {
      const known = trees.get(tree) ?? (await flatten(read, tree))
      trees.set(tree, known)
      return known
    },
    blob: async (oid) => {
      const object = await read(oid)
      if (object?.type !== 'blob') throw repoInvalid(`blob ${oid} is missing`)
      return object.data
    },
    commit: (oid) => commits.get(oid) ?? repo?.commit(oid),
  }
  const needed = new Set<Oid>()
  const need = async (tree: Oid): Promise<void> => {
    const object = objects.get(tree)
    if (!object || needed.has(tree)) return
    needed.add(tree)
    for (const entry of decodeTree(object.data)) {
      if (objects.get(entry.oid)?.type === 'tree') await need(entry.oid)
      else if (objects.has(entry.oid)) needed.add(entry.oid)
      else if (!(await read(entry.oid))) throw repoInvalid(`object ${entry.oid} is missing`)
    }
  }
  for (const oid of order) {
    const commit = commits.get(oid) as Commit
    try {
      await validateCommit(context, oid, commit)
    } catch (error) {
      if (JamiError.is(error, 'ERR_REPO_INVALID')) throw new JamiError('ERR_REPO_INVALID', `commit ${oid}: ${error.message}`, { cause: error, details: { ...error.details, commit: oid } })
      throw JamiError.is(error) ? error : new JamiError('ERR_REPO_INVALID', `commit ${oid} cannot be validated`, { cause: error })
    }
    needed.add(oid)
    await need(commit.tree)
  }
  if (!repo && !commits.has(conversation)) throw repoInvalid('the initial commit is not the conversation')
  return { commits, used: [...needed].map((oid) => objects.get(oid)).filter((o) => o !== undefined) }
}

