// Where things lie in a conversation's tree: every path has its one spelling here, for writers, rules and readers alike. Pure.
// docs/protocol/04 §2. Proof: repo/tree-paths.test.ts.
import type { AccountUri, DeviceId } from '@jamikit/core/contracts'
import type { Oid } from './object.ts'

/** What is voted on. */
export type VoteAction = 'ban' | 'unban'
/** The places a person (or a device) is banned from, and back to. */
export type BanKind = 'members' | 'admins' | 'invited' | 'devices'

export const VOTE_ACTIONS: readonly VoteAction[] = ['ban', 'unban']
export const BAN_KINDS: readonly BanKind[] = ['members', 'admins', 'invited', 'devices']

export const isAccountUri = (text: string): text is AccountUri => /^[0-9a-f]{40}$/.test(text) && !/^0+$/.test(text)
export const isDeviceId = (text: string): text is DeviceId => /^[0-9a-f]{64}$/.test(text)
/** What a vote or a ban of this kind may name. */
export const isTarget = (kind: BanKind, text: string): boolean => (kind === 'devices' ? isDeviceId(text) : isAccountUri(text))

/** Invitations are empty files without extension, everything else of a person or device is a certificate. */
const place = (kind: BanKind, target: string): string => (kind === 'invited' ? `invited/${target}` : `${kind}/${target}.crt`)

export const paths = {
  admin: (uri: string): string => place('admins', uri),
  member: (uri: string): string => place('members', uri),
  invited: (uri: string): string => place('invited', uri),
  device: (id: string): string => place('devices', id),
  /** Where somebody of this kind is while not banned. */
  place,
  banned: (kind: BanKind, target: string): string => `banned/${place(kind, target)}`,
  vote: (action: VoteAction, kind: BanKind, target: string, voter: string): string => `${paths.votes(action, kind, target)}/${voter}`,
  /** The directory with everybody's votes on one target: what a ban or unban takes away whole. */
  votes: (action: VoteAction, kind: BanKind, target: string): string => `votes/${action}/${kind}/${target}`,
  profile: 'profile.vcf',
  attachment: (blob: Oid): string => `attachments/${blob}`,
} as const

export interface VotePath {
  readonly action: VoteAction
  readonly kind: BanKind
  readonly target: string
  readonly voter: AccountUri
}

/** A vote's file; undefined when it is none. */
export function parseVotePath(path: string): VotePath | undefined {
  const [votes, action, kind, target = '', voter = '', ...more] = path.split('/')
  if (votes !== 'votes' || more.length > 0 || !isAction(action) || !isKind(kind) || !isTarget(kind, target) || !isAccountUri(voter)) return undefined
  return { action, kind, target, voter }
}

/** Who lies at a path (`members/…`, `banned/devices/…`); undefined when it is no such place. */
export function parsePlace(path: string): { readonly banned: boolean; readonly kind: BanKind; readonly target: string } | undefined {
  const banned = path.startsWith('banned/')
  const [kind, name = '', ...more] = (banned ? path.slice('banned/'.length) : path).split('/')
  const target = name.replace(/\.crt$/, '')
  if (more.length > 0 || !isKind(kind) || !isTarget(kind, target) || path !== (banned ? paths.banned(kind, target) : place(kind, target))) return undefined
  return { banned, kind, target }
}

function isAction(text: string | undefined): text is VoteAction {
  return (VOTE_ACTIONS as readonly (string | undefined)[]).includes(text)
}

function isKind(text: string | undefined): text is BanKind {
  return (BAN_KINDS as readonly (string | undefined)[]).includes(text)
}
