// Conversations of several people over doubles of links and messages, for the tests of this package.
import { silentLogger } from '@jamikit/core/base'
import type { ConversationId, DeviceIdentity, Storage } from '@jamikit/core/contracts'
import { FakeCertificates, FakeConnectionNetwork, FakeContacts, FakeDirectory, FakeMessageNetwork, ManualClock, SeededRandom, testIdentity } from '@jamikit/core/testing'
import { swarm, type SwarmConversations } from '../src/conversation/swarm.ts'
import { crypto } from './harness.ts'
import { memoryFiles } from './memory.ts'

/** People whose messages and links cross a network of doubles. */
export class World {
  readonly clock = new ManualClock()
  readonly network = new FakeConnectionNetwork({ clock: this.clock })
  readonly messages = new FakeMessageNetwork({ clock: this.clock })
  readonly certificates = new FakeCertificates({ clock: this.clock })
  readonly directory = new FakeDirectory({ clock: this.clock })

  /** @param options.contacts everybody of the test is a confirmed contact, unless given */
  async join(identity: DeviceIdentity, options: { storage?: Storage; contacts?: FakeContacts; announced?: boolean } = {}): Promise<SwarmConversations> {
    const { clock, certificates, directory } = this
    const connections = this.network.manager({ identity, policy: { allowsLink: () => true } })
    const messages = this.messages.messenger(identity)
    await certificates.pin(identity.chain)
    await connections.start()
    await messages.start()
    const conversations = swarm()({
      clock, random: new SeededRandom(identity.deviceId), crypto, logger: silentLogger, network: undefined as never, identity, displayName: () => '', connections, certificates,
      contacts: options.contacts ?? everybody(), directory, presence: directory, messages, storage: options.storage ?? memoryFiles(), prefix: 'a',
    }) as SwarmConversations
    if (options.announced) directory.announce(identity.accountId, identity.deviceId)
    await conversations.start()
    return conversations
  }

  /** A message channel between two people opens. */
  meet(a: DeviceIdentity, b: DeviceIdentity): void {
    this.messages.meet(a.deviceId, b.deviceId)
  }

  /** A message arrives that its sender's own program never wrote. */
  async tell(to: DeviceIdentity, from: DeviceIdentity, mime: string, body: string): Promise<void> {
    await this.messages.messengers.get(to.deviceId)?.receive({ from: from.accountId, fromDevice: from.deviceId, mime, body })
  }

  /** How often something of a kind was sent. */
  count(mime: string): number {
    return this.messages.sent.filter((message) => message.mime === mime).length
  }
}

export const alice = testIdentity(0).device
export const bob = testIdentity(1).device
export const carol = testIdentity(2).device
export const dave = testIdentity(3).device
export const everybody = (): FakeContacts => new FakeContacts(...[alice, bob, carol, dave].map(({ accountId }) => accountId))
export const text = (body: string): { type: string; fields: { body: string } } => ({ type: 'text/plain', fields: { body } })

/** Texts of a history, oldest first. */
export async function texts(c: SwarmConversations, id: ConversationId): Promise<string[]> {
  const out: string[] = []
  for await (const e of c.history(id, { order: 'oldest' })) if (e.type === 'text/plain') out.push(e.fields.body ?? '')
  return out
}

/** Types of a history with what member events are about, oldest first. */
export async function story(c: SwarmConversations, id: ConversationId): Promise<string[]> {
  const out: string[] = []
  for await (const { type, fields } of c.history(id, { order: 'oldest' })) out.push(type === 'member' ? `member ${fields.action}` : (fields.body ?? type))
  return out
}

/** Who is what, by account. */
export const roles = (c: SwarmConversations, id: ConversationId): Record<string, string> => Object.fromEntries(c.members(id).map(({ uri, role }) => [uri, role]))
