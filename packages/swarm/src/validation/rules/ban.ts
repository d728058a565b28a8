// What votes came to: somebody is banned or comes back. The file moves as it is, the votes go, and half of the admins of before voted with
// votes that were there before. docs/protocol/04 §3.5.5, Appendix B.5, trap S5. Proof: validation/group-refusals.test.ts, validation/rules.test.ts.
import { repoInvalid } from '../../repo/object.ts'
import { type BanKind, isAccountUri, isDeviceId, parsePlace, parseVotePath, paths, type VoteAction } from '../../repo/tree-paths.ts'
import { issuerOf, MAX_CERTIFICATE_FILE, readCertificate } from '../author.ts'
import type { Change } from '../trees.ts'
import { type ChangeKind, kindOf, mustBeAdmin, onlyChanges, ownDevice, type RuleContext } from './rule.ts'

export async function banRule(ctx: RuleContext, action: VoteAction): Promise<void> {
  const { uri = '' } = ctx.body.fields
  if (ctx.root.mode === 0) throw repoInvalid(`${action}: not in a one-to-one conversation`)
  if (!isAccountUri(uri) && !isDeviceId(uri)) throw repoInvalid(`${action}: got the uri ${JSON.stringify(uri.slice(0, 80))}, allowed an account or device id`)
  await mustBeAdmin(ctx, action)
  const kind = kindOfBan(ctx, uri)
  if (kind === undefined) throw repoInvalid(`${action}: nothing in banned/ changes`)
  const [from, to] = action === 'ban' ? [paths.place(kind, uri), paths.banned(kind, uri)] : [paths.banned(kind, uri), paths.place(kind, uri)]
  const moved = ctx.changes.find(({ path }) => path === from)?.before
  await onlyChanges(ctx, action, [
    { path: from, kinds: ['removed'] },
    { path: to, kinds: ['added'], check: ({ path, after }) => {
      if (after !== moved) throw repoInvalid(`${action}: ${path} is not what ${from} was`, { path })
    } },
    { path: new RegExp(`^${paths.votes(action, kind, uri)}/[0-9a-f]{40}$`), kinds: ['removed'] },
    ownDevice(ctx),
    ...(kind === 'devices' ? [] : [deviceOf(ctx, uri, action === 'ban' ? 'removed' : 'added')]),
  ])
  for (const path of [from, to]) if (!ctx.changes.some((change) => change.path === path)) throw repoInvalid(`${action}: ${path} stays as it was`, { path })
  await halfOfAdmins(ctx, action)
}

function kindOfBan(ctx: RuleContext, uri: string): BanKind | undefined {
  return ctx.changes.map(({ path }) => parsePlace(path)).find((place) => place?.banned && place.target === uri)?.kind
}

/** Devices go and come with their account. */
function deviceOf(ctx: RuleContext, uri: string, kind: ChangeKind) {
  return {
    path: /^devices\/[0-9a-f]{64}\.crt$/, kinds: [kind], check: async ({ path, before, after }: Change) => {
      const certificate = readCertificate(await ctx.trees.blob((before ?? after) as string, MAX_CERTIFICATE_FILE), path)
      if (issuerOf(certificate) !== uri || path !== paths.device(certificate.longId)) throw repoInvalid(`${path}: the device of somebody else`, { path })
    },
  }
}

/** Votes count that admins of before cast before, and that go with this commit: no others go than those on this ban. */
async function halfOfAdmins(ctx: RuleContext, action: VoteAction): Promise<void> {
  const names = ctx.before === undefined ? [] : await ctx.trees.names(ctx.before, 'admins', ctx.budget)
  const admins = new Set(names.map((name) => name.replace(/\.crt$/, '')).filter(isAccountUri))
  const voters = ctx.changes.filter((change) => kindOf(change) === 'removed').map(({ path }) => parseVotePath(path)?.voter)
  const got = voters.filter((voter) => voter !== undefined && admins.has(voter)).length
  if (admins.size === 0 || got * 2 < admins.size) throw repoInvalid(`${action}: got the votes of ${got} of ${admins.size} admins, allowed half of them or more`, { votes: got, admins: admins.size })
}
