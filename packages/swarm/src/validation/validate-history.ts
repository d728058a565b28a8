// Everything that a fetched head brings, checked before anything is kept: all of it, parents first, or nothing. Several signatures are
// verified at a time; trees, entries and commits are counted, so that a small pack cannot mean much work.
// docs/protocol/04 §3.1, §3.2, trap S11. Proof: validation/validate-history.test.ts.
import { JamiError, limitError, Slices } from '@jamikit/core/base'
import type { AccountUri, BaseEnv, ConversationId } from '@jamikit/core/contracts'
import { MAX_COMMIT_BYTES, MAX_ENTRIES_PER_COMMIT, MAX_ENTRIES_PER_FETCH, MAX_FETCHED_COMMITS, MAX_MERGE_WALK, VALIDATIONS_AT_ONCE } from '../defaults.ts'
import { type Commit, parseCommit } from '../repo/commit.ts'
import { type CommitBody, parseBody } from '../repo/commit-body.ts'
import { type Oid, repoInvalid } from '../repo/object.ts'
import type { History, NewCommit, ObjectReader } from '../repo/types.ts'
import { Ancestry } from './ancestry.ts'
import { Authors } from './author.ts'
import type { RootFacts, RuleName } from './rules/rule.ts'
import { readInitial } from './rules/initial.ts'
import { basesOf } from './merge-bases.ts'
import { Budget, Trees } from './trees.ts'
import { validateCommit, type ValidationContext } from './validate-commit.ts'

export interface Fetched {
  readonly conversation: ConversationId
  readonly head: Oid
  /** What came. */
  readonly pack: ObjectReader & { has(oid: Oid): boolean }
  /** What is there already; undefined for a clone. */
  readonly known: History | undefined
}

export interface Validated {
  /** Parents first. */
  readonly commits: readonly NewCommit[]
  /** Objects of the pack that these commits need. */
  readonly used: ReadonlySet<Oid>
}

/** What `details` of a refusal say. */
export interface Refusal {
  /** The first commit that is not right, parents first. */
  readonly commit: Oid
  /** Its parents, all of them right: there the part ends that can be kept and read. Unknown when the commit itself cannot be read. */
  readonly parents?: readonly Oid[]
  /** Which rule it breaks; left out for ERR_LIMIT. */
  readonly rule?: RuleName
  readonly reason: string
}

/** Units of work between two turns of the event loop: looked at entries, so many for each commit, and one for so many of its bytes. */
const SLICE_UNITS = 2_000
const COMMIT_UNITS = 50
const BYTES_PER_UNIT = 512
/** Where the parents of a commit are. */
const HEADER_BYTES = 400

interface Light {
  readonly tree: Oid
  readonly parents: readonly Oid[]
}

/** @throws ERR_REPO_INVALID with the commit and its reason in `details`, ERR_LIMIT */
export async function validateHistory(env: Pick<BaseEnv, 'crypto' | 'clock'>, fetched: Fetched): Promise<Validated> {
  const { conversation, head, pack, known } = fetched
  const slices = new Slices(env.clock, SLICE_UNITS)
  const commitAt = (oid: Oid, parents?: readonly Oid[]): Promise<Commit> => explained({ commit: oid, rule: 'commit', ...(parents && { parents }) }, async () => {
    const found = await pack.stat(oid)
    if (found?.type !== 'commit') throw repoInvalid(`it is ${found ? `a ${found.type}` : 'missing'}`)
    if (found.size > MAX_COMMIT_BYTES) throw limitError('commit bytes', found.size, MAX_COMMIT_BYTES)
    await slices.spend(COMMIT_UNITS + Math.floor(found.size / BYTES_PER_UNIT))
    return parseCommit((await pack.read(oid))?.data ?? new Uint8Array(0))
  })
  const { order, lights } = await parentsFirst(head, known, (oid) => lightAt(oid, pack, commitAt))
  if (!known && !lights.has(conversation)) throw refused({ commit: head, rule: 'history' }, repoInvalid('the initial commit is not the conversation'))

  const reader: ObjectReader = {
    read: async (oid) => (await pack.read(oid)) ?? known?.read(oid),
    stat: async (oid) => (await pack.stat(oid)) ?? known?.stat(oid),
  }
  const trees = new Trees(reader, slices, new Budget('tree entries looked at in one fetch', MAX_ENTRIES_PER_FETCH))
  const authors = new Authors(env.crypto, trees)
  // commits by number, parents below: those that were there by their row, then those that come
  const before = known?.rows ?? 0
  const numbers = new Map(order.map((oid, i) => [oid, before + i]))
  const numberOf = (oid: Oid) => numbers.get(oid) ?? (known?.info(oid)?.row as number)
  const numberedParents = (number: number) => (number < before ? known?.row(number).parents ?? [] : (lights.get(order[number - before] as Oid) as Light).parents.map(numberOf))
  const walked = new Budget('commits looked at for the merges of one fetch', MAX_MERGE_WALK)
  const ancestry = new Ancestry((ancestor, of) => known?.has(ancestor) === true && known.has(of) && known.isAncestor(ancestor, of))
  for (const oid of order) {
    ancestry.add(oid, (lights.get(oid) as Light).parents)
    const turn = slices.spend(1)
    if (turn) await turn
  }
  const treeOf = (oid: Oid) => lights.get(oid)?.tree ?? known?.info(oid)?.tree
  const readCommit = async (oid: Oid): Promise<Commit | undefined> => (lights.has(oid) ? commitAt(oid) : known?.commit(oid))
  const authorOf = async (oid: Oid, commit: Commit): Promise<AccountUri> =>
    known?.info(oid)?.author ?? (await authors.in(commit.tree, commit, new Budget('tree entries of one commit', MAX_ENTRIES_PER_COMMIT))).uri
  let root: Promise<RootFacts> | undefined
  const context: ValidationContext = {
    conversation, trees, authors, treeOf,
    budget: () => new Budget('tree entries of one commit', MAX_ENTRIES_PER_COMMIT),
    root: () => {
      root ??= (async () => {
        const first = await readCommit(conversation)
        if (!first) throw repoInvalid('the conversation has no initial commit')
        return { ...readInitial(parseBody(first.message)), creator: await authorOf(conversation, first) }
      })()
      return root
    },
    bases: async ({ parents: [first, second] }) => {
      const bases = await basesOf(numberOf(first as Oid), numberOf(second as Oid), numberedParents, walked, slices)
      return bases.map((number) => (number < before ? known?.row(number).tree : lights.get(order[number - before] as Oid)?.tree) as Oid)
    },
    ancestor: async (commit, oid) => {
      if (!ancestry.reaches(commit.parents, oid, new Budget('commits looked at for an edit', MAX_ENTRIES_PER_COMMIT))) return undefined
      const target = await readCommit(oid)
      const body: CommitBody | undefined = target && (target.parents.length > 1 ? { type: 'merge', fields: {} } : parseBody(target.message))
      return target && body && { author: await authorOf(oid, target), body }
    },
  }

  const commits: NewCommit[] = []
  const running: Promise<NewCommit>[] = []
  const one = async (oid: Oid, commit: Commit): Promise<NewCommit> => {
    const author = await explained({ commit: oid, parents: commit.parents }, () => validateCommit(context, oid, commit))
    return { oid, tree: commit.tree, parents: commit.parents, timeS: commit.committerTimeS, author: author.uri, device: commit.device }
  }
  for (const oid of order) {
    const commit = await commitAt(oid, lights.get(oid)?.parents).catch(async (error: unknown) => { // read in turn: only what waits for a signature is under way at the same time
      for (const before of running) await before // one of them may be the first that is not right
      throw error
    })
    const work = one(oid, commit)
    work.catch(() => {}) // reported in its turn
    running.push(work)
    if (running.length >= VALIDATIONS_AT_ONCE) commits.push(await (running.shift() as Promise<NewCommit>))
  }
  for (const work of running) commits.push(await work)

  const used = new Set<Oid>(order)
  for (const oid of [...trees.opened, ...trees.files]) if (pack.has(oid)) used.add(oid)
  return { commits, used }
}

/** Commits of the pack that the head reaches and that are not known, parents first. */
async function parentsFirst(head: Oid, known: History | undefined, lightAt: (oid: Oid) => Promise<Light>): Promise<{ order: Oid[]; lights: Map<Oid, Light> }> {
  const lights = new Map<Oid, Light>() // bounded by MAX_FETCHED_COMMITS
  const order: Oid[] = []
  const open: { oid: Oid; done: boolean }[] = [{ oid: head, done: false }] // three for each commit
  while (open.length > 0) {
    const { oid, done } = open.pop() as { oid: Oid; done: boolean }
    if (done) {
      order.push(oid)
      continue
    }
    if (lights.has(oid) || known?.has(oid)) continue
    if (lights.size >= MAX_FETCHED_COMMITS) throw limitError('commits of one fetch', lights.size + 1, MAX_FETCHED_COMMITS)
    const { tree, parents } = await lightAt(oid)
    lights.set(oid, { tree, parents })
    open.push({ oid, done: true })
    for (const parent of parents) open.push({ oid: parent, done: false })
  }
  return { order, lights }
}

/** Of a commit that is no good (unsigned, say) the parents still count: what is below it is judged, so that it is known to be right. */
async function lightAt(oid: Oid, pack: ObjectReader, commitAt: (oid: Oid) => Promise<Commit>): Promise<Light> {
  try {
    const { tree, parents } = await commitAt(oid)
    return { tree, parents }
  } catch (error) {
    if (!JamiError.is(error, 'ERR_REPO_INVALID') || (await pack.stat(oid))?.type !== 'commit') throw error
    const header = Buffer.from(((await pack.read(oid))?.data ?? new Uint8Array(0)).subarray(0, HEADER_BYTES)).toString('latin1').split('\n\n', 1)[0] ?? ''
    const parents = [...header.matchAll(/^parent ([0-9a-f]{40})$/gm)].map((match) => match[1] as Oid)
    if (parents.length === 0) throw error
    return { tree: '', parents }
  }
}

/** Whatever is wrong with a commit is its peer's fault, and says which commit, and why. What is wrong with our own disk stays what it is. */
async function explained<T>(about: Omit<Refusal, 'reason'>, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (JamiError.is(error, 'ERR_STORAGE_CORRUPT') || JamiError.is(error, 'ERR_STORAGE_IO') || JamiError.is(error, 'ERR_CLOSED')) throw error
    if (JamiError.is(error) && error.details.reason !== undefined) throw error // of the commit that was looked at for this one
    throw refused(about, error)
  }
}

function refused({ rule, ...about }: Omit<Refusal, 'reason'>, error: unknown): JamiError {
  const code = JamiError.is(error, 'ERR_LIMIT') ? 'ERR_LIMIT' : 'ERR_REPO_INVALID'
  const reason = error instanceof Error ? error.message : 'it cannot be validated'
  const details = { ...(rule !== undefined && code === 'ERR_REPO_INVALID' && { rule }), ...(JamiError.is(error) && error.details), ...about, reason }
  return new JamiError(code, `commit ${about.commit}: ${reason}`, { cause: error, details })
}
