// From an accepted invitation to a place in the conversation: fetched whole from a device of the inviter, validated, kept, then our join.
// docs/protocol/04 §4.7, §5.4. Proof: conversation/conversations.test.ts, conversation/groups.test.ts.
import { JamiError, type Tasks } from '@jamikit/core/base'
import type { AccountUri, CertificateStore, ConversationId, DeviceId } from '@jamikit/core/contracts'
import { FETCH_RETRY_MS, STORAGE_RETRY_MAX_MS } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import { CLONE_LIMITS } from '../sync/pack-reader.ts'
import { type Change, Conversation, type ConversationEnv } from './conversation.ts'
import type { Fetching } from './fetching.ts'
import type { Pending, Registry } from './registry.ts'
import { MIME } from './small-payloads.ts'

export interface JoiningEnv {
  readonly tasks: Tasks
  readonly own: AccountUri
  /** Bytes that a conversation may have. */
  readonly maxBytes: number
  readonly certificates: CertificateStore
  readonly registry: Registry
  readonly fetching: Fetching
  readonly conversationEnv: (id: ConversationId) => ConversationEnv
  readonly onHas: (conversation: Conversation, account: AccountUri, head: Oid) => Promise<void>
  readonly onChange: (conversation: Conversation, change: Change) => void
  readonly onReady: (id: ConversationId) => void
  readonly onProblem: (conversation: ConversationId, error: JamiError) => void
}

export class Joining {
  readonly #env: JoiningEnv

  constructor(env: JoiningEnv) {
    this.#env = env
  }

  async clone(pending: Pending, device: DeviceId): Promise<{ conversation: Conversation; from: AccountUri; head: Oid }> {
    const { registry, fetching, certificates, conversationEnv, maxBytes } = this.#env
    const { id, from } = pending
    const { head, pack } = await fetching.fetch(id, { device, account: from }, MIME.commit, { haves: [], has: () => false, limits: { ...CLONE_LIMITS, bytes: Math.min(CLONE_LIMITS.bytes, maxBytes) } })
    if (!pack) throw new JamiError('ERR_REPO_INVALID', `conversation ${id}: nothing came`)
    try {
      if (registry.findPending(id) !== pending) throw new JamiError('ERR_NOT_FOUND', `conversation ${id} is not waited for any more`)
      const peer = await certificates.get(device)
      return { conversation: await Conversation.clone(conversationEnv(id), id, head, pack, from, pending.mode), from: peer?.accountId ?? from, head }
    } catch (error) {
      fetching.drop(id, device, JamiError.from(error))
      throw error
    } finally {
      await pack.discard()
    }
  }

  async cloned(conversation: Conversation, from: AccountUri, head: Oid): Promise<void> {
    await this.#env.onHas(conversation, from, head)
    await this.join(conversation)
    this.#env.onReady(conversation.id)
  }

  /** Takes our place when we are invited: again and again while the disk does not take it. */
  async join(conversation: Conversation, attempt = 0): Promise<void> {
    const { tasks, own, registry, onChange, onProblem } = this.#env
    try {
      const change = conversation.roleOf(own) === 'invited' ? await conversation.join() : undefined
      if (change) onChange(conversation, change)
    } catch (error) {
      if (tasks.signal.aborted || registry.find(conversation.id) !== conversation) return
      if (attempt === 0) onProblem(conversation.id, JamiError.from(error))
      tasks.after(Math.min(FETCH_RETRY_MS * 2 ** attempt, STORAGE_RETRY_MAX_MS), 'joining again', () => this.join(conversation, attempt + 1))
    }
  }
}
