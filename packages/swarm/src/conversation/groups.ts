// What members and admins do to a group: invite, ban, take bans back, change its profile; and the invitations that go out for it, once more
// to a device that appears or asks. docs/protocol/04 §2.2, §5.2, §5.4, §5.5, B.5. Proof: conversation/groups.test.ts.
import { argumentError, JamiError, limitError } from '@jamikit/core/base'
import type { AccountUri, BaseEnv, ConversationProfile, DeviceId, MemberRole, PeerMessages } from '@jamikit/core/contracts'
import { INVITE_AGAIN_MS, INVITE_APPEARED_MS, MAX_AVATAR_BYTES, MAX_LATELY_INVITED } from '../defaults.ts'
import type { VoteAction } from '../repo/tree-paths.ts'
import type { Change, Conversation } from './conversation.ts'
import { adding, joining, type Plan, profiling, resolving, voting } from './membership.ts'
import type { Registry } from './registry.ts'
import { withInvited } from './record.ts'
import { MIME, printInvitation } from './small-payloads.ts'

export interface GroupsEnv extends Pick<BaseEnv, 'clock' | 'logger'> {
  readonly own: AccountUri
  readonly messages: PeerMessages
  readonly registry: Registry
  readonly onChange: (conversation: Conversation, change: Change) => void
}

export class Groups {
  readonly #env: GroupsEnv
  readonly #lately = new Map<string, number>() // devices and conversations; bounded by MAX_LATELY_INVITED, oldest first

  constructor(env: GroupsEnv) {
    this.#env = env
  }

  /** @throws ERR_NOT_MEMBER, ERR_NOT_ADMIN, ERR_ARGUMENT, ERR_STORAGE_IO: the same call goes on where it stopped */
  async invite(conversation: Conversation, account: AccountUri): Promise<void> {
    const { own, registry, clock } = this.#env
    if (account === own) throw argumentError('account', 'oneself', 'another account')
    this.#mustBe(conversation, 'member')
    const role = conversation.roleOf(account)
    if (conversation.mode === 0 && role === undefined) throw argumentError('account', account, 'one of the two of a one-to-one conversation')
    if (role === 'banned' || conversation.isBanned(account)) return this.#resolve(conversation, 'unban', account)
    const change = role === undefined || role === 'left' ? await conversation.change(joining, adding(account)) : undefined
    try {
      const now = clock.wallTimeMs()
      await registry.update(conversation.id, (record) => withInvited(record, account, now))
      await this.#send(conversation, account, account, now, false) // before the notice of the commit, so that nobody has to ask
    } finally {
      if (change) this.#env.onChange(conversation, change)
    }
  }

  /** @throws ERR_NOT_ADMIN, ERR_NOT_FOUND, ERR_ARGUMENT */
  ban(conversation: Conversation, account: AccountUri): Promise<void> {
    return this.#judge(conversation, 'ban', account, 'banned')
  }

  /** @throws as ban() */
  unban(conversation: Conversation, account: AccountUri): Promise<void> {
    return this.#judge(conversation, 'unban', account, 'member', 'admin', 'invited')
  }

  async #judge(conversation: Conversation, action: VoteAction, account: AccountUri, ...already: MemberRole[]): Promise<void> {
    if (account === this.#env.own) throw argumentError('account', 'oneself', 'another account')
    if (conversation.mode === 0) throw argumentError('conversation', 'a one-to-one conversation', 'a group: people are banned as contacts')
    this.#mustBe(conversation, 'admin')
    const role = conversation.roleOf(account)
    if (role !== undefined && already.includes(role) && (action === 'ban' || !conversation.isBanned(account))) return
    if (role === undefined && !conversation.isBanned(account)) throw new JamiError('ERR_NOT_FOUND', `${account} is not in conversation ${conversation.id}`, { details: { account, conversation: conversation.id } })
    await this.#resolve(conversation, action, account)
  }

  /** The vote and, when it is enough, what it comes to: in one step. */
  async #resolve(conversation: Conversation, action: VoteAction, account: AccountUri): Promise<void> {
    this.#mustBe(conversation, 'admin')
    await this.#write(conversation, [voting(action, account), resolving(action, account)])
  }

  /** @throws ERR_NOT_ADMIN, ERR_ARGUMENT, ERR_LIMIT */
  async updateProfile(conversation: Conversation, change: { readonly [K in keyof ConversationProfile]?: ConversationProfile[K] | null }): Promise<void> {
    this.#mustBe(conversation, 'admin')
    await this.#write(conversation, [profiling(checkProfile(change))])
  }

  async #write(conversation: Conversation, plans: readonly Plan[]): Promise<void> {
    const change = await conversation.change(...plans)
    if (change) this.#env.onChange(conversation, change)
  }

  #mustBe(conversation: Conversation, least: 'member' | 'admin'): void {
    const role = conversation.roleOf(this.#env.own) ?? 'nobody'
    if (role === 'admin' || (least === 'member' && (role === 'member' || (role === 'invited' && !conversation.isBanned(this.#env.own))))) return
    const code = least === 'admin' && role === 'member' ? 'ERR_NOT_ADMIN' : least === 'admin' && role !== 'nobody' ? 'ERR_NOT_ADMIN' : 'ERR_NOT_MEMBER'
    throw new JamiError(code, `conversation ${conversation.id}: we are ${role}, allowed ${least === 'admin' ? 'admin' : 'member or admin'}`, { details: { conversation: conversation.id, got: role, allowed: least } })
  }

  /** A device of somebody is there: what we invited the account to, and it has not joined, goes to it again, in case it never came. */
  appeared(account: AccountUri, device: DeviceId): void {
    for (const conversation of this.#env.registry.of(account)) {
      const invitedMs = this.#env.registry.recordOf(conversation.id).invited.get(account)
      if (invitedMs !== undefined && conversation.mode !== 0 && conversation.roleOf(account) === 'invited') void this.#again(conversation, account, device, invitedMs, INVITE_APPEARED_MS)
    }
  }

  /** A device asks for an invitation. */
  asked(conversation: Conversation, account: AccountUri, device: DeviceId): void {
    const { registry, clock } = this.#env
    const { invited, createdMs } = registry.recordOf(conversation.id)
    void this.#again(conversation, account, device, invited.get(account) ?? (conversation.mode === 0 ? clock.wallTimeMs() : createdMs || conversation.createdS * 1000), INVITE_AGAIN_MS)
  }

  /** The same invitation as before: not more often than once in a while. */
  async #again(conversation: Conversation, account: AccountUri, device: DeviceId, invitedMs: number, everyMs: number): Promise<void> {
    const key = `${conversation.id}${device}`
    const now = this.#env.clock.now()
    const last = this.#lately.get(key)
    if (last !== undefined && now - last < everyMs) return
    this.#lately.delete(key)
    for (const oldest of this.#lately.keys()) {
      if (this.#lately.size < MAX_LATELY_INVITED) break
      this.#lately.delete(oldest)
    }
    this.#lately.set(key, now)
    await this.#send(conversation, account, device, invitedMs, true)
  }

  /** Handed over when it resolves, not yet delivered. */
  async #send(conversation: Conversation, account: AccountUri, to: AccountUri | DeviceId, invitedMs: number, connectedOnly: boolean): Promise<void> {
    const { messages, logger } = this.#env
    const failed = (err: unknown) => logger.warn({ err: JamiError.from(err), account, conversation: conversation.id }, 'an invitation could not be sent')
    try {
      const body = printInvitation(conversation.id, conversation.mode, invitedMs, conversation.mode === 0 ? {} : await conversation.profile())
      void messages.send(to, { mime: MIME.invitation, body }, connectedOnly ? { connectedOnly } : { replaces: `invitation ${conversation.id}`, connType: MIME.invitation }).catch(failed)
    } catch (err) {
      failed(err)
    }
  }
}

/** What the card may hold. `null` takes a value away. @throws ERR_ARGUMENT, ERR_LIMIT */
export function checkProfile(change: { readonly [K in keyof ConversationProfile]?: ConversationProfile[K] | null }): Parameters<typeof profiling>[0] {
  const { title, description, avatar } = change
  for (const [field, value] of Object.entries({ title, description })) if (value != null && typeof value !== 'string') throw argumentError(field, typeof value, 'a text')
  if (avatar != null && !(avatar instanceof Uint8Array)) throw argumentError('avatar', typeof avatar, 'the bytes of a picture file')
  if (avatar && avatar.length > MAX_AVATAR_BYTES) throw limitError('bytes of the avatar', avatar.length, MAX_AVATAR_BYTES)
  return {
    ...(title !== undefined && { title: title ?? undefined }), ...(description !== undefined && { description: description ?? undefined }), ...(avatar !== undefined && { avatar: avatar ?? undefined }),
  }
}
