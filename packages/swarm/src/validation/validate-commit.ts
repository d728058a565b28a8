// May this commit stand in this conversation? Commit and trees in, verdict out; nothing is written, repaired or fetched here.
// The rules of 1:1 conversations; what only groups and documents have is refused. docs/protocol/04 §3.
// Proof: validation/validate-commit.test.ts (one test for each refusal of §12.2).
import { equalBytes } from '@jamikit/core/codec'
import type { AccountUri, Certificate, CertificateChain, Crypto } from '@jamikit/core/contracts'
import { accountUriOf, deviceIdOf, parseCertificate, parseChain, verifyIssued } from '@jamikit/core/identity'
import type { Commit } from '../repo/commit.ts'
import { type CommitBody, parseBody } from '../repo/commit-body.ts'
import { type Oid, repoInvalid } from '../repo/object.ts'
import type { Paths } from '../repo/repository.ts'

export interface ValidationContext {
  readonly conversation: Oid
  readonly crypto: Crypto
  paths(tree: Oid): Promise<Paths>
  /** @throws when missing */
  blob(oid: Oid): Promise<Uint8Array>
  /** Known commits: local ones and those already validated in this round. */
  commit(oid: Oid): Commit | undefined
}

/** Who wrote it, as proven by the certificates in the tree. */
export interface Author {
  readonly uri: AccountUri
  readonly device: Certificate
}

interface Trees {
  readonly before: Paths
  readonly after: Paths
  /** Paths whose content differs. */
  readonly changed: readonly string[]
}

function changedPaths(before: Paths, after: Paths): string[] {
  const out = new Set<string>()
  for (const [path, oid] of after) if (before.get(path) !== oid) out.add(path)
  for (const path of before.keys()) if (!after.has(path)) out.add(path)
  return [...out].sort()
}

const NOTHING: Paths = new Map()

/** The account that a device wrote as, proven in `tree`: device and account certificate, their link, their dates. @throws ERR_REPO_INVALID */
async function authorIn(ctx: ValidationContext, commit: Commit, tree: Paths): Promise<Author> {
  const deviceOid = tree.get(`devices/${commit.device}.crt`)
  if (!deviceOid) throw repoInvalid(`author: device ${commit.device} has no certificate in the conversation`)
  const device = parseCertificate(await ctx.blob(deviceOid))
  if (deviceIdOf(device.publicKey) !== commit.device) throw repoInvalid('author: the certificate is of another device')
  const uri = (device.issuerUid ?? '').toLowerCase()
  if (!/^[0-9a-f]{40}$/.test(uri)) throw repoInvalid('author: the device certificate names no account')
  const accountOid = tree.get(`members/${uri}.crt`) ?? tree.get(`admins/${uri}.crt`)
  if (!accountOid) throw repoInvalid(`author: account ${uri} is not a member`)
  const [account] = accountChain(await ctx.blob(accountOid))
  if (accountUriOf(account.publicKey) !== uri) throw repoInvalid('author: the account certificate is of another account')
  if (!verifyIssued(device, account)) throw repoInvalid('author: the account did not certify the device')
  const at = commit.committerTimeS * 1000
  for (const c of [device, account]) if (at < c.notBeforeMs || at > c.notAfterMs) throw repoInvalid('author: a certificate was not valid at the time of the commit')
  return { uri: uri as AccountUri, device }
}

function accountChain(blob: Uint8Array): CertificateChain {
  return parseChain(blob)
}

async function verifySignature(ctx: ValidationContext, commit: Commit, device: Certificate): Promise<void> {
  if (!(await ctx.crypto.verify(device.publicKey, commit.signed, commit.signature))) throw repoInvalid('the signature does not verify')
}

/** A device or account certificate that a commit adds or renews. */
async function checkCertificate(ctx: ValidationContext, path: string, trees: Trees, uri: AccountUri): Promise<void> {
  const now = trees.after.get(path)
  if (!now) throw repoInvalid(`${path}: taken away`)
  const [next] = path.startsWith('devices/') ? [parseCertificate(await ctx.blob(now))] : accountChain(await ctx.blob(now))
  const name = path.slice(path.lastIndexOf('/') + 1, -'.crt'.length)
  if (path.startsWith('devices/')) {
    if (next.longId !== name) throw repoInvalid(`${path}: the certificate of another device`)
    if ((next.issuerUid ?? '').toLowerCase() !== uri) throw repoInvalid(`${path}: a device of another account`)
  } else if (next.shortId !== name || next.shortId !== uri) throw repoInvalid(`${path}: the certificate of another account`)
  const before = trees.before.get(path)
  if (!before) return
  const [old] = path.startsWith('devices/') ? [parseCertificate(await ctx.blob(before))] : accountChain(await ctx.blob(before))
  if (!equalBytes(old.publicKey, next.publicKey)) throw repoInvalid(`${path}: renewed with another key`)
}

function only(changed: readonly string[], allowed: readonly string[], what: string): void {
  for (const path of changed) if (!allowed.includes(path)) throw repoInvalid(`${what}: got a change of ${path}, allowed ${allowed.join(', ') || 'none'}`, { path })
}

async function isEmptyBlob(ctx: ValidationContext, oid: Oid | undefined): Promise<boolean> {
  return oid !== undefined && (await ctx.blob(oid)).length === 0
}

/** Mode and the two people of a 1:1, from its first commit. @throws ERR_REPO_INVALID */
export function initialMembers(ctx: Pick<ValidationContext, 'conversation' | 'commit'>): { mode: number; invited: string } {
  const root = ctx.commit(ctx.conversation)
  const body = root && parseBody(root.message)
  if (body?.type !== 'initial') throw repoInvalid('the conversation has no initial commit')
  return { mode: Number(body.fields.mode ?? Number.NaN), invited: body.fields.invited ?? '' }
}

/**
 * Checks one commit whose parents are known and good. @returns who wrote it
 * @throws ERR_REPO_INVALID with the rule that it breaks
 */
export async function validateCommit(ctx: ValidationContext, id: Oid, commit: Commit): Promise<Author & { body: CommitBody }> {
  const after = await ctx.paths(commit.tree)
  if (commit.parents.length === 0) return initial(ctx, id, commit, after)
  const parents = commit.parents.map((p) => {
    const parent = ctx.commit(p)
    if (!parent) throw repoInvalid(`parent ${p} is missing`)
    return parent
  })
  if (parents.length > 2) throw repoInvalid('merge commit: got more than two parents')
  const before = await ctx.paths((parents[0] as Commit).tree)
  if (parents.length === 2) return merge(ctx, commit, before, await ctx.paths((parents[1] as Commit).tree), after)
  const trees: Trees = { before, after, changed: changedPaths(before, after) }
  const body = parseBody(commit.message)
  if (body.type === '' || body.type === 'merge' || body.type === 'initial') throw repoInvalid(`type: got ${JSON.stringify(body.type)} with one parent`)
  const leaving = body.type === 'member' && body.fields.action === 'remove'
  const author = await authorIn(ctx, commit, leaving ? before : after)
  await verifySignature(ctx, commit, author.device)
  await rule(ctx, commit, body, trees, author.uri)
  return { ...author, body }
}

async function initial(ctx: ValidationContext, id: Oid, commit: Commit, after: Paths): Promise<Author & { body: CommitBody }> {
  if (id !== ctx.conversation) throw repoInvalid('initial commit: a second root, or the root of another conversation')
  const body = parseBody(commit.message)
  if (body.type !== 'initial') throw repoInvalid(`initial commit: got type ${JSON.stringify(body.type)}`)
  const { mode, invited = '' } = body.fields
  if (!/^[0-4]$/.test(mode ?? '')) throw repoInvalid(`initial commit: got mode ${String(mode)}, allowed 0 to 4`)
  if (mode !== '0') throw repoInvalid(`initial commit: got mode ${mode}, supported is 0 (one-to-one)`)
  if (!/^[0-9a-f]{40}$/.test(invited)) throw repoInvalid('initial commit: the invited account is missing')
  const trees: Trees = { before: NOTHING, after, changed: [...after.keys()] }
  const author = await authorIn(ctx, commit, after)
  if (!after.has(`admins/${author.uri}.crt`)) throw repoInvalid('initial commit: its author is not the admin')
  only(trees.changed, [`admins/${author.uri}.crt`, `devices/${commit.device}.crt`, `invited/${invited}`], 'initial commit')
  if (!(await isEmptyBlob(ctx, after.get(`invited/${invited}`)))) throw repoInvalid('initial commit: the invitation is missing or not empty')
  await checkCertificate(ctx, `admins/${author.uri}.crt`, trees, author.uri)
  await checkCertificate(ctx, `devices/${commit.device}.crt`, trees, author.uri)
  await verifySignature(ctx, commit, author.device)
  return { ...author, body }
}

async function merge(ctx: ValidationContext, commit: Commit, first: Paths, second: Paths, after: Paths): Promise<Author & { body: CommitBody }> {
  const author = await authorIn(ctx, commit, after)
  await verifySignature(ctx, commit, author.device)
  const against = new Set(changedPaths(first, after))
  for (const path of changedPaths(second, after)) if (against.has(path)) throw repoInvalid(`merge commit: ${path} has content of neither parent`, { path })
  return { ...author, body: { type: 'merge', fields: { body: commit.message } } }
}

async function rule(ctx: ValidationContext, commit: Commit, body: CommitBody, trees: Trees, author: AccountUri): Promise<void> {
  const own = `devices/${commit.device}.crt`
  const { changed } = trees
  if (body.type === 'member') return member(ctx, commit, body, trees, author)
  if (body.type === 'vote' || body.type === 'application/checkpoint') throw repoInvalid(`${body.type}: not in a one-to-one conversation`)
  if (body.type === 'application/update-profile') {
    if (!trees.after.has(`admins/${author}.crt`)) throw repoInvalid('profile: its author is not an admin')
    only(changed, ['profile.vcf', own], 'profile')
    if (changed.includes(own)) await checkCertificate(ctx, own, trees, author)
    return
  }
  if (body.type === 'application/edited-message' || (body.fields.edit ?? '') !== '') await edit(ctx, body, author)
  only(changed, [own, ...[`admins/${author}.crt`, `members/${author}.crt`].filter((path) => trees.before.has(path))], body.type)
  for (const path of changed) await checkCertificate(ctx, path, trees, author)
}

async function edit(ctx: ValidationContext, body: CommitBody, author: AccountUri): Promise<void> {
  const target = ctx.commit(body.fields.edit ?? '')
  if (!target) throw repoInvalid('edit: the edited commit is not there')
  const writer = await authorIn(ctx, target, await ctx.paths(target.tree))
  if (writer.uri !== author) throw repoInvalid('edit: of a message of somebody else')
  const { type, fields } = parseBody(target.message)
  const editable = type === 'text/plain' || type === 'application/collab-doc+json' || (type === 'application/data-transfer+json' && (fields.tid ?? '') !== '')
  if (!editable) throw repoInvalid(`edit: of a ${type}`)
}

async function member(ctx: ValidationContext, commit: Commit, body: CommitBody, trees: Trees, author: AccountUri): Promise<void> {
  const { action = '', uri = '' } = body.fields
  const { before, after, changed } = trees
  const own = `devices/${commit.device}.crt`
  if (!/^[0-9a-f]{40}$/.test(uri) || /^0+$/.test(uri)) throw repoInvalid(`member: got the uri ${JSON.stringify(uri.slice(0, 80))}, allowed an account id`)
  const invited = `invited/${uri}`
  if (action === 'add') {
    const root = initialMembers(ctx)
    const rootCommit = ctx.commit(ctx.conversation)
    const creator = rootCommit && (await authorIn(ctx, rootCommit, await ctx.paths(rootCommit.tree))).uri
    if (uri !== root.invited && uri !== creator) throw repoInvalid('add: a third person in a one-to-one conversation')
    if (uri === author) throw repoInvalid('add: of oneself')
    only(changed, [own, invited], 'add')
    if (!(await isEmptyBlob(ctx, after.get(invited)))) throw repoInvalid('add: no empty invitation')
    if (before.has(`banned/members/${uri}.crt`)) throw repoInvalid('add: of a banned member')
    if (changed.includes(own)) await checkCertificate(ctx, own, trees, author)
    return
  }
  if (action === 'join') {
    const path = `members/${uri}.crt`
    only(changed, [invited, path, own], 'join')
    if (!before.has(invited) || after.has(invited)) throw repoInvalid('join: without an invitation, or leaving it behind')
    if (before.has(path) || !after.has(path)) throw repoInvalid('join: member already, or no certificate')
    if (author !== uri) throw repoInvalid('join: of somebody else')
    await checkCertificate(ctx, path, trees, author)
    await checkCertificate(ctx, own, trees, author)
    return
  }
  if (action === 'remove') {
    if (author !== uri) throw repoInvalid('remove: of somebody else')
    for (const path of changed) {
      if (path === `admins/${uri}.crt` || path === `members/${uri}.crt` || path === invited) continue
      const old = path.startsWith('devices/') && !after.has(path) ? before.get(path) : undefined
      if (!old || (parseCertificate(await ctx.blob(old)).issuerUid ?? '').toLowerCase() !== uri) throw repoInvalid(`remove: got a change of ${path}`, { path })
    }
    return
  }
  throw repoInvalid(`member: got the action ${JSON.stringify(action.slice(0, 40))}, allowed add, join or remove in a one-to-one conversation`)
}

/** The account of a known commit's author: validated before, so only read. */
export async function authorOf(ctx: Pick<ValidationContext, 'paths' | 'blob' | 'commit'>, commit: Commit): Promise<AccountUri | undefined> {
  for (const tree of [commit.tree, ...commit.parents.slice(0, 1).map((p) => ctx.commit(p)?.tree ?? commit.tree)]) {
    const oid = (await ctx.paths(tree)).get(`devices/${commit.device}.crt`)
    if (oid) return (parseCertificate(await ctx.blob(oid)).issuerUid ?? '').toLowerCase() as AccountUri
  }
  return undefined
}
