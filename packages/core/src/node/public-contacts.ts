// Contacts and requests as programs see them. Proof: node/jami-node.test.ts.
import { checkOptions, is, OP } from '../base/arguments.ts'
import { argumentError, notFoundError } from '../base/errors.ts'
import { isActive } from '../account/contact-list.ts'
import type { LocalAccount } from '../account/account.ts'
import type { PendingRequest } from '../account/trust-requests.ts'
import type { AccountUri, ConversationId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'
import type { Contact, ContactRequest, Contacts, Conversation, PeerLike } from './api.ts'
import type { PublicConversation } from './public-conversation.ts'
import { peerUri } from './public-ids.ts'

const REMOVE = { ...OP, ban: is.boolean }

export interface ContactsEnv {
  readonly local: LocalAccount
  /** Within the caller's limits, and until the account stops. */
  readonly within: <T>(op: Op | undefined, what: string, work: () => Promise<T>) => Promise<T>
  readonly conversation: (id: ConversationId) => PublicConversation
}

export class PublicContacts implements Contacts {
  readonly #env: ContactsEnv

  constructor(env: ContactsEnv) {
    this.#env = env
  }

  list(): Contact[] {
    return this.#env.local.contacts.entries().filter(([, r]) => isActive(r) || r.banned).map(([uri]) => this.show(uri))
  }

  get(peer: PeerLike): Contact {
    const uri = peerUri(peer)
    const record = this.#env.local.contacts.get(uri)
    if (!record || !(isActive(record) || record.banned)) throw notFoundError(`contact ${uri}`)
    return this.show(uri)
  }

  requests(): ContactRequest[] {
    return this.#env.local.requests.pending().map((request) => this.showRequest(request))
  }

  async add(peer: PeerLike, op?: Op): Promise<Conversation> {
    const uri = this.other(peer)
    checkOptions(op, OP)
    return this.#env.conversation(await this.#env.within(op, 'adding a contact', () => this.#env.local.addContact(uri)))
  }

  async remove(peer: PeerLike, options: { ban?: boolean } & Op = {}): Promise<void> {
    const uri = peerUri(peer)
    checkOptions(options, REMOVE)
    const { ban = false, ...op } = options
    return this.#env.within(op, 'removing a contact', () => this.#env.local.removeContact(uri, ban))
  }

  async unban(peer: PeerLike, op?: Op): Promise<void> {
    const uri = this.other(peer)
    checkOptions(op, OP)
    await this.#env.within(op, 'unbanning', () => this.#env.local.addContact(uri))
  }

  /** Anybody but us. @throws ERR_ARGUMENT */
  other(peer: PeerLike, field = 'peer'): AccountUri {
    const uri = peerUri(peer, field)
    if (uri === this.#env.local.record.device.accountId) throw argumentError(field, 'our own account', 'another one')
    return uri
  }

  /** Anybody, with the name when it is known. */
  show(uri: AccountUri, displayName?: string): Contact {
    const { contacts, record } = this.#env.local
    const own = uri === record.device.accountId ? record.displayName || undefined : undefined
    return { uri, displayName: own ?? contacts.get(uri)?.displayName ?? displayName, confirmed: contacts.isConfirmed(uri), banned: contacts.isBanned(uri) }
  }

  showRequest(request: PendingRequest): ContactRequest {
    const { local, within, conversation } = this.#env
    return {
      from: this.show(request.from, request.displayName),
      receivedAt: new Date(request.receivedMs),
      accept: async (op) => {
        checkOptions(op, OP)
        return conversation(await within(op, 'accepting', () => local.acceptRequest(request.from))).whenReady(op)
      },
      decline: async (options = {}) => {
        checkOptions(options, REMOVE)
        const { ban = false, ...op } = options
        return within(op, 'declining', () => (ban ? local.removeContact(request.from, true) : local.requests.decline(request.from)))
      },
    }
  }
}
