// The groups of FakeConversations: who is in one by its entries, what it is called, invitations and preferences, as simply as may be. A group
// has votes of its one admin only. docs/protocol/04 §5. Proof: testing/fake-conversations.test.ts with testing/suites/conversation-groups.ts.
import { Source } from '../base/emitter.ts'
import { JamiError, limitError } from '../base/errors.ts'
import { fromBase64, toBase64 } from '../codec/bytes.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { ConversationGroups, ConversationInvitation, ConversationMode, ConversationProfile, MemberRole } from '../contracts/groups.ts'
import type { AccountUri, ConversationId } from '../contracts/ids.ts'

const ORDER: readonly MemberRole[] = ['admin', 'member', 'invited', 'banned', 'left']
const MAX_TITLE = 1_000
const MAX_AVATAR_BYTES = 65_536
const MAX_PREFERENCES = 100

/** What a device keeps of groups while it does not run. */
export interface KeptGroups {
  readonly invitations: Map<ConversationId, ConversationInvitation> // bounded by the test, as everything here
  readonly declinedMs: Map<ConversationId, number>
  readonly preferences: Map<ConversationId, Readonly<Record<string, string>>>
  /** When whom we invited, by conversation and account. */
  readonly invitedMs: Map<string, number>
}

export const keptGroups = (): KeptGroups => ({ invitations: new Map(), declinedMs: new Map(), preferences: new Map(), invitedMs: new Map() })

export function modeOf(oldestFirst: readonly ConversationEntry[]): ConversationMode {
  return Number(oldestFirst[0]?.fields.mode ?? 0) as ConversationMode
}

/** Who is what, in the order of roles. */
export function rolesIn(oldestFirst: readonly ConversationEntry[]): Map<AccountUri, MemberRole> {
  const roles = new Map<AccountUri, MemberRole>()
  const before = new Map<AccountUri, MemberRole>() // of those who are banned
  for (const { type, author, fields } of oldestFirst) {
    const uri = fields.uri as AccountUri
    if (type === 'initial') {
      roles.set(author, 'admin')
      if (fields.invited) roles.set(fields.invited as AccountUri, 'invited')
    }
    if (type !== 'member') continue
    if (fields.action === 'add') roles.set(uri, 'invited')
    if (fields.action === 'join') roles.set(author, 'member')
    if (fields.action === 'remove' && modeOf(oldestFirst) === 0) roles.set(author, 'left')
    else if (fields.action === 'remove') roles.delete(author)
    if (fields.action === 'ban') {
      before.set(uri, roles.get(uri) ?? 'member')
      roles.set(uri, 'banned')
    }
    if (fields.action === 'unban') roles.set(uri, before.get(uri) ?? 'member')
  }
  return new Map([...roles].sort(([, a], [, b]) => ORDER.indexOf(a) - ORDER.indexOf(b)))
}

/** May fetch and be heard. */
export const isIn = (role: MemberRole | undefined): boolean => role === 'admin' || role === 'member' || role === 'invited'

export function profileIn(oldestFirst: readonly ConversationEntry[]): ConversationProfile {
  const { title, description, avatar } = oldestFirst.findLast(({ type }) => type === 'application/update-profile')?.fields ?? {}
  return { ...(title && { title }), ...(description && { description }), ...(avatar && { avatar: fromBase64(avatar) }) }
}

export interface FakeGroupsEnv {
  readonly own: AccountUri
  readonly kept: KeptGroups
  readonly nowMs: () => number
  /** Oldest first. @throws ERR_NOT_FOUND */
  readonly entries: (id: ConversationId) => readonly ConversationEntry[]
  readonly write: (id: ConversationId, body: { type: string; fields: Record<string, string> }) => void
  /** Lets the others have it. */
  readonly exchange: () => void
  /** Ready, or being cloned. */
  readonly isKnown: (id: ConversationId) => boolean
}

/** What one device does to groups. */
export class FakeGroups implements Omit<ConversationGroups, 'create' | 'members' | 'roleOf' | 'shares' | 'accept' | 'leave' | 'remove'> {
  readonly #env: FakeGroupsEnv
  readonly #invited = new Source<ConversationInvitation>(() => {}) // a listener's error is its own
  readonly #updated = new Source<{ conversation: ConversationId }>(() => {})

  constructor(env: FakeGroupsEnv) {
    this.#env = env
  }

  get onInvitation() { return this.#invited.listen }
  get onUpdated() { return this.#updated.listen }

  invitations(): ConversationInvitation[] {
    return [...this.#env.kept.invitations.values()]
  }

  async decline(id: ConversationId): Promise<void> {
    if (!this.#env.kept.invitations.delete(id)) throw new JamiError('ERR_NOT_FOUND', `no invitation to ${id}`)
    this.#env.kept.declinedMs.set(id, this.#env.nowMs())
  }

  /** It is accepted. */
  answered(id: ConversationId): ConversationInvitation | undefined {
    const invitation = this.#env.kept.invitations.get(id)
    this.#env.kept.invitations.delete(id)
    this.#env.kept.declinedMs.delete(id)
    return invitation
  }

  async invite(id: ConversationId, account: AccountUri): Promise<void> {
    const { own, kept, nowMs, entries, write, exchange } = this.#env
    const roles = rolesIn(entries(id))
    const role = roles.get(account)
    if (account === own || (modeOf(entries(id)) === 0 && role === undefined)) throw new JamiError('ERR_ARGUMENT', `invite: ${account}`)
    this.#mustBe(id, 'member')
    if (role === 'banned') return this.unban(id, account)
    kept.invitedMs.set(`${id} ${account}`, nowMs())
    if (role === undefined || role === 'left') write(id, { type: 'member', fields: { action: 'add', uri: account } })
    else exchange()
  }

  /** An account that has us as invited says so. */
  offered(invitation: ConversationInvitation): void {
    const { kept, isKnown } = this.#env
    const { conversation, receivedMs } = invitation
    if (isKnown(conversation) || kept.invitations.has(conversation) || receivedMs <= (kept.declinedMs.get(conversation) ?? 0)) return
    kept.invitations.set(conversation, invitation)
    this.#invited.emit(invitation)
  }

  async ban(id: ConversationId, account: AccountUri): Promise<void> {
    this.#judge(id, account, 'ban', ['banned'])
  }

  async unban(id: ConversationId, account: AccountUri): Promise<void> {
    this.#judge(id, account, 'unban', ['admin', 'member', 'invited'])
  }

  #judge(id: ConversationId, account: AccountUri, action: 'ban' | 'unban', already: readonly MemberRole[]): void {
    const role = rolesIn(this.#env.entries(id)).get(account)
    if (account === this.#env.own || modeOf(this.#env.entries(id)) === 0) throw new JamiError('ERR_ARGUMENT', `${action}: ${account}`)
    this.#mustBe(id, 'admin')
    if (role === undefined) throw new JamiError('ERR_NOT_FOUND', `${account} is not in conversation ${id}`)
    if (already.includes(role)) return
    this.#env.write(id, { type: 'vote', fields: { uri: account } })
    this.#env.write(id, { type: 'member', fields: { action, uri: account } })
  }

  #mustBe(id: ConversationId, least: 'member' | 'admin'): void {
    const role = rolesIn(this.#env.entries(id)).get(this.#env.own)
    if (role === 'admin' || (least === 'member' && role === 'member')) return
    throw new JamiError(role === 'member' ? 'ERR_NOT_ADMIN' : 'ERR_NOT_MEMBER', `we are ${role ?? 'nobody'} in conversation ${id}`)
  }

  async profile(id: ConversationId): Promise<ConversationProfile> {
    return profileIn(this.#env.entries(id))
  }

  async updateProfile(id: ConversationId, change: Parameters<ConversationGroups['updateProfile']>[1]): Promise<void> {
    this.#mustBe(id, 'admin')
    const { title, description, avatar } = { ...profileIn(this.#env.entries(id)), ...change }
    if ((title?.length ?? 0) > MAX_TITLE) throw new JamiError('ERR_ARGUMENT', 'title: too long')
    if ((avatar?.length ?? 0) > MAX_AVATAR_BYTES) throw limitError('bytes of the avatar', avatar?.length ?? 0, MAX_AVATAR_BYTES)
    this.#env.write(id, { type: 'application/update-profile', fields: { ...(title && { title }), ...(description && { description }), ...(avatar && { avatar: toBase64(avatar) }) } })
  }

  /** A new entry is on main. */
  noted({ type, conversation }: ConversationEntry): void {
    if (type === 'application/update-profile') this.#updated.emit({ conversation })
  }

  preferences(id: ConversationId): Readonly<Record<string, string>> {
    return this.#env.kept.preferences.get(id) ?? {}
  }

  async setPreferences(id: ConversationId, preferences: Readonly<Record<string, string>>): Promise<void> {
    if (!this.#env.isKnown(id)) this.#env.entries(id)
    if (Object.keys(preferences).length > MAX_PREFERENCES) throw limitError('preferences', Object.keys(preferences).length, MAX_PREFERENCES)
    this.#env.kept.preferences.set(id, { ...preferences })
    this.#updated.emit({ conversation: id })
  }
}
