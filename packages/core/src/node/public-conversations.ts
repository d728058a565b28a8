// The conversations of an account as programs see them: found, made, joined. Proof: node/jami-node.test.ts, node/public-message.test.ts.
import { checkOptions, is, OP } from '../base/arguments.ts'
import { notFoundError } from '../base/errors.ts'
import { wellFormed } from '../codec/text.ts'
import type { LocalAccount } from '../account/account.ts'
import type { ConversationInvitation } from '../contracts/groups.ts'
import type { ConversationId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'
import type { Conversation, ConversationList, GroupInfo, Invite, PeerLike } from './api.ts'
import { GROUP_INIT, MAX_INVITED } from './limits.ts'
import type { PublicContacts } from './public-contacts.ts'
import type { PublicConversation } from './public-conversation.ts'
import { parseConversationId, PEER } from './public-ids.ts'

const CREATE = { ...GROUP_INIT, members: is.listOf(PEER, MAX_INVITED) }

export interface ConversationsEnv {
  readonly local: LocalAccount
  readonly contacts: PublicContacts
  /** Within the caller's limits, and until the account stops. */
  readonly within: <T>(op: Op | undefined, what: string, work: (signal: AbortSignal) => Promise<T>) => Promise<T>
  readonly show: (id: ConversationId) => PublicConversation
}

export class PublicConversations implements ConversationList {
  readonly #env: ConversationsEnv

  constructor(env: ConversationsEnv) {
    this.#env = env
  }

  get #known() {
    return this.#env.local.conversations
  }

  /** @throws ERR_NOT_FOUND */
  #shown(id: ConversationId): PublicConversation {
    if (!this.#known.get(id)) throw notFoundError(`conversation ${id}`)
    return this.#env.show(id)
  }

  list(): Conversation[] {
    return this.#known.list().map(({ id }) => this.#env.show(id))
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Conversation> {
    yield* this.list()
  }

  get(id: string): Conversation {
    return this.#shown(parseConversationId(id))
  }

  async with(peer: PeerLike, op?: Op): Promise<Conversation> {
    const { local, contacts, within } = this.#env
    const uri = contacts.other(peer)
    checkOptions(op, OP)
    const known = local.contacts.isContact(uri) ? local.contacts.conversationWith(uri) : undefined
    const id = known && this.#known.get(known) ? known : await within(op, 'adding a contact', () => local.addContact(uri))
    return this.#shown(id).whenReady(op)
  }

  async create(options: GroupInfo & { members?: readonly PeerLike[] } & Op = {}): Promise<Conversation> {
    checkOptions(options, CREATE)
    const { title, description, avatar, members = [], ...op } = options
    const invited = new Set(members.map((peer) => this.#env.contacts.other(peer, 'members')))
    const profile = { ...(title === undefined ? {} : { title: wellFormed(title) }), ...(description === undefined ? {} : { description: wellFormed(description) }), ...(avatar === undefined ? {} : { avatar: new Uint8Array(avatar) }) }
    return this.#env.within(op, 'making a group', async () => {
      const id = await this.#known.create({ mode: 2, ...(Object.keys(profile).length > 0 ? { profile } : {}) })
      for (const uri of invited) await this.#known.invite(id, uri)
      return this.#shown(id)
    })
  }

  invites(): Invite[] {
    return this.#known.invitations().map((invitation) => this.showInvite(invitation))
  }

  /** Neither accepted, declined nor withdrawn. */
  waits({ conversation, from }: ConversationInvitation): boolean {
    return this.#known.invitations().some((other) => other.conversation === conversation && other.from === from)
  }

  showInvite(invitation: ConversationInvitation): Invite {
    const { conversation, from, mode, profile, receivedMs } = invitation
    const { contacts, within } = this.#env
    return {
      conversation, from: contacts.show(from), title: profile.title, description: profile.description, receivedAt: new Date(receivedMs),
      accept: async (op) => {
        checkOptions(op, OP)
        await within(op, 'accepting', () => this.#known.accept({ conversation, from, mode }))
        return this.#shown(conversation).whenReady(op)
      },
      decline: async (op) => {
        checkOptions(op, OP)
        await within(op, 'declining', () => this.#known.decline(conversation))
      },
    }
  }
}
