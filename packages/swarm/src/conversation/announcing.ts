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

export interface AnnouncingEnv extends Pick<BaseEnv, 'clock' | 'random' | 'logger'> {
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
    if (conversation.mode !== 0) return this.#env.targets(conversation, { members: [], isAuthor: false }).devices.map(({ device }) => device)
    return [...this.#linked(conversation)]
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
   * Our own news: to members with a link, then to others until MAX_ANNOUNCED are told, chosen by chance. Queued for whoever is not there; the
   * newest replaces what waits. Whoever fetches tells those with links to it, and gets everything when links come up.
   */
  announce(conversation: Conversation): void {
    const { messages, random, logger } = this.#env
    if (conversation.mode !== 0) return this.#toRouted(conversation, () => false, true)
    const linked: AccountUri[] = []
    const others: AccountUri[] = []
    for (const uri of this.others(conversation)) (messages.connectedDevices(uri).length > 0 ? linked : others).push(uri)
    while (others.length > Math.max(0, MAX_ANNOUNCED - linked.length)) others.splice(random.below(others.length), 1)
    const options = { replaces: `commit ${conversation.id}`, connType: `${MIME.commit}/${conversation.id}` }
    for (const uri of [...linked, ...others])
      void messages.send(uri, { mime: MIME.commit, body: this.#notice(conversation) }, options).catch((err: unknown) => logger.debug({ err }, 'a commit was not announced'))
  }

  /** In a group: devices that the routing table is connected to, and mobile ones that are ours to wake; of our own news, two members more who have none among them. */
  #toRouted(conversation: Conversation, knows: (device: DeviceId) => boolean, isAuthor: boolean): void {
    const { messages, logger, targets } = this.#env
    const { devices, accounts } = targets(conversation, { members: isAuthor ? this.others(conversation) : [], isAuthor })
    const message = { mime: MIME.commit, body: this.#notice(conversation) }
    const options = { replaces: `commit ${conversation.id}`, connType: `${MIME.commit}/${conversation.id}` }
    const routed = new Set(devices.map(({ device }) => device))
    // whoever has just joined is in no table yet, and its inviter has a link to it
    const linked = isAuthor ? this.others(conversation).flatMap((uri) => [...messages.connectedDevices(uri)]).filter((device) => !routed.has(device)).slice(0, MAX_ANNOUNCED) : []
    for (const to of [...[...routed].filter((device) => !knows(device)), ...linked, ...accounts])
      void messages.send(to, message, options).catch((err: unknown) => logger.debug({ err }, 'a commit was not announced'))
  }

  /** What we fetched or merged, and have: to the devices that do not know. Whoever is not there gets everything when a link comes up. */
  tell(conversation: Conversation, knows: (device: DeviceId) => boolean): void {
    const { messages, logger } = this.#env
    if (conversation.mode !== 0) return this.#toRouted(conversation, knows, false)
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
