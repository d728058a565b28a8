// What changed in a conversation, told: to the program in order, to those whom it bans nothing more, to the members that there is something
// to fetch. docs/protocol/04 §4.5.2, §5.6, B.5. Proof: conversation/announcing.test.ts, conversation/groups.test.ts.
import { JamiError, type Tasks } from '@jamikit/core/base'
import type { AccountUri, BaseEnv, ConversationEntry, ConversationId, DeviceId, DeviceIdentity, MessageId, PeerMessages } from '@jamikit/core/contracts'
import { MAX_ANNOUNCED } from '../defaults.ts'
import type { RoutedDevice } from '../drt/routing.ts'
import type { Change, Conversation } from './conversation.ts'
import type { Registry } from './registry.ts'
import { MIME, printCommitNotice } from './small-payloads.ts'
import type { Statuses } from './statuses.ts'

/** Types that say nothing of what their author has seen: devices write them by themselves. */
const UNATTENDED: ReadonlySet<string> = new Set(['merge', 'member', 'initial', 'device'])

export interface AnnouncingEnv extends Pick<BaseEnv, 'clock' | 'logger'> {
  readonly tasks: Tasks
  readonly identity: DeviceIdentity
  readonly messages: PeerMessages
  readonly registry: Registry
  readonly statuses: Statuses
  /** Something is new in it. */
  /** Who is told of a commit by the routing table. */
  readonly targets: (conversation: Conversation, options: { members: Iterable<AccountUri>; except?: DeviceId | undefined; isAuthor: boolean }) => { devices: readonly RoutedDevice[]; accounts: readonly AccountUri[] }
  readonly onChange: (conversation: Conversation) => void
  readonly onEntry: (event: { entry: ConversationEntry; own: boolean }) => void
  readonly onBanned: (conversation: Conversation, account: AccountUri) => void
  readonly onUpdated: (conversation: ConversationId) => void
  readonly onProblem: (conversation: ConversationId, error: JamiError) => void
}

export class Announcing {
  readonly #env: AnnouncingEnv
  readonly #telling = new Map<ConversationId, Promise<void>>() // bounded by the conversations

  constructor(env: AnnouncingEnv) {
    this.#env = env
  }

  /** Accounts beside ours that take part, or are invited to. */
  others(conversation: Conversation): AccountUri[] {
    const me = this.#env.identity.accountId
    return conversation.members.filter(({ uri, role }) => uri !== me && role !== 'banned' && role !== 'left' && !conversation.isBanned(uri)).map(({ uri }) => uri)
  }

  /** Devices of others that hear of what we fetch. */
  told(conversation: Conversation): DeviceId[] {
    return conversation.mode === 0 ? [...this.#linked(conversation)] : [...this.#connected(conversation)]
  }

  /** A small message to those with a link. */
  toMembers(conversation: Conversation, mime: string, body: string): void {
    for (const device of this.#linked(conversation)) void this.#env.messages.send(device, { mime, body }, { connectedOnly: true }).catch(() => {})
  }

  /** What is new is told to the program. The members hear of it by `announce` or `tell`. */
  changed(conversation: Conversation, change: Change): void {
    const { registry, tasks, onChange, onBanned, onUpdated, onProblem } = this.#env
    onChange(conversation)
    if (registry.find(conversation.id) === conversation) registry.index(conversation)
    for (const account of change.banned) onBanned(conversation, account)
    const before = this.#telling.get(conversation.id) ?? Promise.resolve()
    const running = before.then(() => this.#tell(conversation, change)).catch((error: unknown) => {
      if (!tasks.signal.aborted) onProblem(conversation.id, JamiError.from(error))
    })
    this.#telling.set(conversation.id, running)
    tasks.run('new entries', () => running)
    if (change.profile) onUpdated(conversation.id)
  }

  /**
   * Our own news. In a 1:1 to the other person, in a group to whoever is connected and to two members more who are not. Queued for whoever is
   * not there; the newest replaces what waits. Whoever fetches tells those it is connected to, and gets everything when links come up.
   */
  announce(conversation: Conversation): void {
    this.#send(conversation, conversation.mode === 0 ? this.others(conversation) : [...this.#connected(conversation), ...this.#env.targets(conversation, { members: this.others(conversation), isAuthor: true }).accounts])
  }

  #send(conversation: Conversation, to: Iterable<AccountUri | DeviceId>): void {
    const { messages, logger } = this.#env
    const message = { mime: MIME.commit, body: this.#notice(conversation) }
    const options = { replaces: `commit ${conversation.id}`, connType: `${MIME.commit}/${conversation.id}` }
    for (const target of to) void messages.send(target, message, options).catch((err: unknown) => logger.debug({ err }, 'a commit was not announced'))
  }

  /**
   * Devices of a group that the routing table is connected to, mobile ones that are ours to wake, and members' devices with a link of ours:
   * whoever has just joined, or whose ban was just taken back, is in no table yet.
   */
  #connected(conversation: Conversation): Set<DeviceId> {
    const out = new Set(this.#env.targets(conversation, { members: [], isAuthor: false }).devices.map(({ device }) => device))
    let linked = 0
    for (const device of this.#linked(conversation)) if (!out.has(device) && linked++ < MAX_ANNOUNCED) out.add(device)
    return out
  }

  /** What we fetched or merged, and have: to the devices that do not know. Whoever is not there gets everything when a link comes up. */
  tell(conversation: Conversation, knows: (device: DeviceId) => boolean): void {
    if (conversation.mode !== 0) return this.#send(conversation, [...this.#connected(conversation)].filter((device) => !knows(device)))
    const { messages, logger } = this.#env
    const body = this.#notice(conversation)
    for (const device of this.#linked(conversation))
      if (!knows(device)) void messages.send(device, { mime: MIME.commit, body }, { connectedOnly: true }).catch((err: unknown) => logger.debug({ err }, 'a commit was not announced'))
  }

  /** Devices with a link that take part: a device that was banned hears nothing, its account may. */
  *#linked(conversation: Conversation): Iterable<DeviceId> {
    for (const uri of this.others(conversation)) for (const device of this.#env.messages.connectedDevices(uri)) if (!conversation.isBanned(uri, device)) yield device
  }

  #notice(conversation: Conversation): string {
    return printCommitNotice({ conversation: conversation.id, commit: conversation.head, device: this.#env.identity.deviceId })
  }

  /** New entries in the order of arrival, then what they say of their authors: whoever writes has seen what is before. */
  async #tell(conversation: Conversation, change: Change): Promise<void> {
    const { identity, registry, statuses, tasks, onEntry } = this.#env
    const wrote = new Map<AccountUri, MessageId>() // bounded by the members
    for (const { oid } of change.commits) {
      if (tasks.signal.aborted || registry.find(conversation.id) !== conversation) return
      const entry = await conversation.entry(oid)
      if (!entry) continue
      const own = entry.author === identity.accountId
      if (!own && !UNATTENDED.has(entry.type)) wrote.set(entry.author, oid)
      onEntry({ entry, own })
    }
    for (const [member, oid] of wrote) await statuses.note(conversation, member, oid, 'displayed')
    for (const { member, oid, kind } of conversation.dueMarks()) await statuses.note(conversation, member, oid, kind)
  }

  forget(id: ConversationId): void {
    this.#telling.delete(id)
  }
}
