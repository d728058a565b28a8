// Commits about who is in a conversation and what it is called, planned on the tree that they will build on: join, add, votes and what they
// come to, leaving, profile. Pure but for reading. docs/protocol/04 §2.1, §2.2, §5.4, §5.5, B.5. Proof: conversation/membership.test.ts.
import { JamiError } from '@jamikit/core/base'
import { equalBytes } from '@jamikit/core/codec'
import type { AccountUri } from '@jamikit/core/contracts'
import type { CommitBody } from '../repo/commit-body.ts'
import { readFile } from '../repo/edit-tree.ts'
import { decodeTree, type GitObject, objectId, type Oid, TREE_MODE } from '../repo/object.ts'
import { type BanKind, paths, type VoteAction } from '../repo/tree-paths.ts'
import type { ObjectReader } from '../repo/types.ts'
import { issuerOf, readCertificate } from '../validation/author.ts'
import { type ProfileCard, parseProfile, printProfile } from './profile-card.ts'
import { type Base, type Draft, type Edits, emptyFile, type Writer } from './writer.ts'

/** What a commit is planned on: the newest tree, or that of the plan before. */
export interface Ground {
  readonly reader: Pick<ObjectReader, 'read'>
  readonly tree: Oid
  readonly writer: Writer
}

/** A commit to be written. */
export interface Step {
  readonly body: CommitBody
  readonly edits?: Edits
}

/** Undefined when there is nothing to write. @throws what refuses the whole change */
export type Plan = (ground: Ground) => Promise<Step | undefined>

/** Signs what is planned, each on the one before: nothing is kept yet. */
export async function drafted(repository: Pick<ObjectReader, 'read'>, writer: Writer, from: Base, plans: readonly Plan[]): Promise<Draft[]> {
  const drafts: Draft[] = []
  const fresh = new Map<Oid, GitObject>() // bounded by the plans
  const reader = { read: async (oid: Oid) => fresh.get(oid) ?? repository.read(oid) }
  let base = from
  for (const plan of plans) {
    const step = await plan({ reader, tree: base.tree, writer })
    if (!step) continue
    const draft = await writer.draft(reader, base, step.body, step.edits)
    for (const object of draft.objects) fresh.set(objectId(object), object)
    base = { tree: draft.commit.tree, parents: [draft.commit] }
    drafts.push(draft)
  }
  return drafts
}

const file = ({ reader, tree }: Ground, path: string) => readFile(reader, tree, path)

/** Names in a directory of a tree; none when there is no such directory. */
async function namesIn({ reader, tree }: Ground, path: string): Promise<string[]> {
  let at: Oid | undefined = tree
  for (const name of path === '' ? [] : path.split('/')) {
    const object: GitObject | undefined = at === undefined ? undefined : await reader.read(at)
    at = object?.type === 'tree' ? decodeTree(object.data).find((entry) => entry.name === name && entry.mode === TREE_MODE)?.oid : undefined
  }
  const object = at === undefined ? undefined : await reader.read(at)
  return object?.type === 'tree' ? decodeTree(object.data).map(({ name }) => name) : []
}

/** Takes our place when we are invited. */
export const joining: Plan = async (ground) => {
  const { me } = ground.writer
  if (!(await file(ground, paths.invited(me))) || (await file(ground, paths.member(me))) || (await file(ground, paths.admin(me)))) return undefined
  return {
    body: { type: 'member', fields: { action: 'join', uri: me } },
    edits: new Map([[paths.invited(me), undefined], [paths.member(me), ground.writer.accountFile()]]),
  }
}

const isThere = async (ground: Ground, ...places: readonly string[]): Promise<boolean> => {
  for (const path of places) if (await file(ground, path)) return true
  return false
}

/** Nothing when somebody was faster. @throws ERR_NOT_MEMBER when we, or the person, were banned meanwhile */
export function adding(uri: AccountUri): Plan {
  return async (ground) => {
    const { me } = ground.writer
    if (!(await isThere(ground, paths.admin(me), paths.member(me)))) throw new JamiError('ERR_NOT_MEMBER', 'we are not a member any more')
    if (await isThere(ground, paths.banned('members', uri), paths.banned('admins', uri), paths.banned('invited', uri))) throw new JamiError('ERR_NOT_ADMIN', `${uri} was banned meanwhile`)
    if (await isThere(ground, paths.invited(uri), paths.member(uri), paths.admin(uri))) return undefined
    return added(uri)
  }
}

function added(uri: AccountUri): Step {
  return { body: { type: 'member', fields: { action: 'add', uri } }, edits: new Map([[paths.invited(uri), emptyFile()]]) }
}

/** Where somebody is who shall be banned, or was banned from. */
async function kindOf(ground: Ground, action: VoteAction, uri: AccountUri): Promise<BanKind | undefined> {
  for (const kind of ['members', 'admins', 'invited'] as const) {
    if (await file(ground, action === 'ban' ? paths.place(kind, uri) : paths.banned(kind, uri))) return kind
  }
  return undefined
}

async function mustBeAdmin(ground: Ground, what: string): Promise<void> {
  if (!(await file(ground, paths.admin(ground.writer.me)))) throw new JamiError('ERR_NOT_ADMIN', `${what}: only an admin of the conversation may do that`)
}

/** Our vote; nothing when it is there already. */
export function voting(action: VoteAction, uri: AccountUri): Plan {
  return async (ground) => {
    const kind = await kindOf(ground, action, uri)
    if (kind === undefined) return undefined
    await mustBeAdmin(ground, action)
    const path = paths.vote(action, kind, uri, ground.writer.me)
    return (await file(ground, path)) ? undefined : { body: { type: 'vote', fields: { uri } }, edits: new Map([[path, emptyFile()]]) }
  }
}

/** What the votes came to, when more than half of the admins voted. */
export function resolving(action: VoteAction, uri: AccountUri): Plan {
  return async (ground) => {
    const kind = await kindOf(ground, action, uri)
    if (kind === undefined) return undefined
    const admins = new Set((await namesIn(ground, 'admins')).map((name) => name.replace(/\.crt$/, '')))
    const voters = await namesIn(ground, paths.votes(action, kind, uri))
    if (voters.filter((voter) => admins.has(voter)).length * 2 <= admins.size) return undefined
    const [from, to] = action === 'ban' ? [paths.place(kind, uri), paths.banned(kind, uri)] : [paths.banned(kind, uri), paths.place(kind, uri)]
    const edits = new Map<string, GitObject | undefined>(voters.map((voter) => [paths.vote(action, kind, uri, voter), undefined]))
    edits.set(from, undefined).set(to, await file(ground, from))
    return { body: { type: 'member', fields: { action, uri } }, edits }
  }
}

/** Somebody whose device the history does not know yet could not be believed to leave: it says so first. */
export const introducing: Plan = async ({ writer, reader, tree }) =>
  (await writer.isNew(reader, tree)) ? { body: { type: 'device', fields: { uri: writer.deviceId } } } : undefined

/** Takes everything of ours away. */
export const leaving: Plan = async (ground) => {
  const { me } = ground.writer
  const edits = new Map<string, GitObject | undefined>()
  for (const path of [paths.admin(me), paths.member(me)]) if (await file(ground, path)) edits.set(path, undefined)
  if (edits.size === 0) return undefined
  for (const name of await namesIn(ground, 'devices')) {
    const path = `devices/${name}`
    const object = await file(ground, path)
    if (object && issuerOf(readCertificate(object.data, path)) === me) edits.set(path, undefined)
  }
  return { body: { type: 'member', fields: { action: 'remove', uri: me } }, edits }
}

/** Changes what is given of the card and keeps the rest; `undefined` takes a value away. Nothing when it is the same afterwards. */
export function profiling(change: { readonly [K in keyof ProfileCard]?: ProfileCard[K] | undefined }): Plan {
  return async (ground) => {
    await mustBeAdmin(ground, 'profile')
    const old = await file(ground, paths.profile)
    const bytes = printProfile(Object.fromEntries(Object.entries({ ...(old ? parseProfile(old.data) : {}), ...change }).filter(([, value]) => value !== undefined)))
    if (old && equalBytes(old.data, bytes)) return undefined
    return { body: { type: 'application/update-profile', fields: {} }, edits: new Map([[paths.profile, { type: 'blob', data: bytes }]]) }
  }
}
