// Giving members what we have: their git channels, within rates and slots that all of them share. docs/protocol/04 §4.2, §4.3.
// Proof: conversation/conversations.test.ts, sync/session.test.ts.
import { JamiError, type Tasks } from '@jamikit/core/base'
import type { AccountUri, BaseEnv, Channel, ContactBook, ConversationId, DeviceId, DeviceIdentity, PeerIdentity } from '@jamikit/core/contracts'
import { parseConversationId } from '@jamikit/core/identity'
import { MAX_ANSWER_CACHES, MAX_SERVED_CHANNELS } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import { AnswerCache } from '../sync/answer-cache.ts'
import { GitStream } from '../sync/git-stream.ts'
import { ServeRate } from '../sync/serve-rate.ts'
import { ServeSlots } from '../sync/serve-slots.ts'
import { serve } from '../sync/upload-pack.ts'
import type { Conversation } from './conversation.ts'

export interface ServingEnv extends Pick<BaseEnv, 'clock' | 'logger'> {
  readonly tasks: Tasks
  readonly identity: DeviceIdentity
  readonly contacts: ContactBook
  /** One that is ready, or that we have left and still serve. */
  readonly find: (id: ConversationId) => Conversation | undefined
  readonly mayFetch: (conversation: Conversation, account: AccountUri, device?: DeviceId) => boolean
  /** A peer has this commit and all before it. */
  readonly onHas: (conversation: Conversation, peer: PeerIdentity, head: Oid) => Promise<void>
  /** A peer has commits that we do not have: it merges them, and announces that to nobody. */
  readonly onAhead: (conversation: Conversation, peer: PeerIdentity, commit: Oid) => void
}

export class Serving {
  readonly #env: ServingEnv
  readonly #channels = new Map<ConversationId, Set<Channel>>() // bounded by MAX_SERVED_CHANNELS for each device
  readonly #rate = new ServeRate()
  readonly #slots = new ServeSlots()
  readonly #answers = new Map<ConversationId, AnswerCache>() // bounded by MAX_ANSWER_CACHES

  constructor(env: ServingEnv) {
    this.#env = env
  }

  /** `git://<our device>/<conversation>`, from a member or an invited account. */
  accepts(name: string, peer: PeerIdentity): boolean {
    return this.#allowed(name, peer) !== undefined
  }

  /** Counted by the connections, for each device. */
  limit(name: string): { of: string; max: number } {
    return { of: name, max: MAX_SERVED_CHANNELS }
  }

  #allowed(name: string, peer: PeerIdentity): Conversation | undefined {
    const match = /^git:\/\/([0-9a-f]{64})\/([0-9a-f]{40})$/.exec(name)
    const { contacts, identity, find, mayFetch } = this.#env
    const conversation = find((match?.[2] ?? '') as ConversationId)
    if (!match || match[1] !== identity.deviceId || !conversation || contacts.isBanned(peer.accountId) || contacts.isBanned(peer.deviceId)) return undefined
    return peer.accountId === identity.accountId || mayFetch(conversation, peer.accountId, peer.deviceId) ? conversation : undefined
  }

  /** The channel is ours from now on. Who it is, is asked again: it may not be a member any more. */
  serve(channel: Channel): void {
    const { tasks, clock, logger, identity, find } = this.#env
    const { remote } = channel
    if (!this.accepts(channel.name, remote)) return channel.abort(new JamiError('ERR_PEER_REFUSED', 'not a member any more'))
    const id = parseConversationId(channel.name.slice(-40))
    this.#channels.set(id, (this.#channels.get(id) ?? new Set()).add(channel))
    tasks.run('serving git', async (signal) => {
      try {
        await serve(new GitStream(channel, clock), {
          conversation: id, device: identity.deviceId, rate: this.#rate, slots: this.#slots, answers: this.#answersOf(id), signal,
          history: () => {
            const conversation = this.#allowed(channel.name, remote)
            if (!conversation) throw new JamiError('ERR_PEER_REFUSED', 'not a member any more')
            return conversation.history
          },
          onFetched: (head) => {
            const conversation = find(id)
            if (conversation) tasks.run('status', () => this.#env.onHas(conversation, remote, head))
          },
          onAhead: (commit) => {
            const conversation = find(id)
            if (conversation) this.#env.onAhead(conversation, remote, commit)
          },
        })
        await channel.close()
      } catch (error) {
        if (!signal.aborted) logger.debug({ device: remote.deviceId, err: JamiError.from(error) }, 'a git session ended badly')
        channel.abort(JamiError.from(error))
      } finally {
        const channels = this.#channels.get(id)
        channels?.delete(channel)
        if (channels?.size === 0) this.#channels.delete(id)
      }
    })
  }

  #answersOf(id: ConversationId): AnswerCache {
    const answers = this.#answers.get(id) ?? new AnswerCache()
    this.#answers.delete(id)
    this.#answers.set(id, answers)
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= MAX_ANSWER_CACHES) break
      this.#answers.delete(oldest)
    }
    return answers
  }

  /** An account may fetch no more: its channels end. */
  drop(id: ConversationId, account: AccountUri): void {
    for (const channel of [...(this.#channels.get(id) ?? [])]) if (channel.remote.accountId === account) channel.abort(new JamiError('ERR_PEER_REFUSED', 'not a member any more'))
  }

  /** A conversation is gone. */
  forget(id: ConversationId): void {
    this.#answers.delete(id)
  }
}
