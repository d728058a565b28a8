// What a node of interop/sdk-peer.ts does in conversations beyond texts: groups, members, edits, reactions, files. Public surface, but for what
// only judges need: whole histories with all their fields, commits as they come, problems.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { AccountUri, ConversationId, Conversations, MessageId, MessageView } from '@jamikit/core/contracts'
import type { Account, Conversation, Message } from 'jamikit'
import type { SdkView } from './sdk.ts'

type Signal = (name: string, ...args: unknown[]) => void

const viewOf = ({ entry, fields, deleted, editions, editedMs, reactions }: MessageView): SdkView => ({
  id: entry.id, type: entry.type, from: entry.author, timeS: Math.floor(entry.timeMs / 1000), fields, deleted, edited: editedMs !== undefined,
  editions: editions.map(({ id, body }) => ({ id, body })), reactions: reactions.map(({ id, author, body }) => ({ id, author, body })),
})

interface Card {
  readonly title?: string
  readonly description?: string
  /** Base64. */
  readonly avatar?: string
}

const infoOf = ({ avatar, ...rest }: Card) => ({ ...rest, ...(avatar !== undefined && { avatar: new Uint8Array(Buffer.from(avatar, 'base64')) }) })
const base64 = (bytes: Uint8Array | undefined) => (bytes === undefined ? '' : Buffer.from(bytes).toString('base64'))

export function watchContract(of: Conversations, signal: Signal): void {
  of.onInvitation(({ conversation, from, mode, profile: { title = '', description = '', avatar } }) =>
    signal('invitation', conversation, from, { mode, title, description, avatar: base64(avatar) }))
  of.onProblem(({ conversation, error }) => signal('problem', conversation, 'code' in error ? error.code : '', error.message, 'details' in error ? error.details : {}))
  of.onEntry(({ entry, own }) => signal('entry', entry.conversation, { id: entry.id, type: entry.type, from: entry.author, own, fields: entry.fields }))
}

export function watchMessages(of: Account, signal: Signal): void {
  of.on('message:edited', ({ message, previous }) => signal('edited', message.conversation.id, message.id, message.type === 'text' ? message.text : '', previous))
  of.on('message:deleted', ({ message }) => signal('deleted', message.conversation.id, message.id))
  of.on('reaction', ({ message, emoji, from, removed }) => signal('reaction', message.conversation.id, message.id, emoji, from, removed))
  of.on('transfer', ({ conversation, messageId, direction, state, doneBytes, totalBytes, error }) => signal('transfer', conversation, messageId, direction, state, doneBytes, totalBytes, error?.code ?? ''))
}

export function conversationCalls(contract: () => Conversations, account: () => Account): Readonly<Record<string, (...args: never[]) => unknown>> {
  const of = (id: string): Conversation => account().conversations.get(id)
  const message = (id: string, name: string): Promise<Message> => of(id).message(name)
  const inviteTo = (id: string) => account().conversations.invites().find((invite) => invite.conversation === id) ?? absent(`invitation to ${id}`)
  return {
    'group.create': async (card: Card) => (await account().conversations.create(infoOf(card))).id,
    'group.invite': (id: string, uri: string) => of(id).invite(uri),
    'group.accept': (id: string) => void inviteTo(id).accept().catch(() => {}), // what comes of it is seen by the event `conversation`
    'group.decline': (id: string) => inviteTo(id).decline(),
    'group.ban': (id: string, uri: string) => of(id).ban(uri),
    'group.unban': (id: string, uri: string) => of(id).unban(uri),
    'group.leave': (id: string) => of(id).leave(),
    'group.profile': async (id: string) => {
      const { title = '', description = '', avatar } = await of(id).profile()
      return { title, description, avatar: base64(avatar) }
    },
    'group.update': (id: string, card: Card) => of(id).update(infoOf(card)),
    'group.members': (id: string) => of(id).members,
    conversations: () => account().conversations.list().map(({ id, kind, title }) => ({ id, kind, title })),
    reply: async (id: string, text: string, to: string) => (await (await message(id, to)).reply(text)).id,
    edit: async (id: string, name: string, text: string) => {
      const found = await message(id, name)
      if (text === '') return found.delete()
      return found.type === 'text' ? found.edit(text) : absent(`text ${name}`)
    },
    react: async (id: string, name: string, emoji: string) => (await message(id, name)).react(emoji),
    unreact: async (id: string, name: string, emoji: string) => (await message(id, name)).unreact(emoji),
    displayed: (id: string, name: string) => of(id).markRead(name),
    statuses: async (id: string, name: string) => (await message(id, name)).statuses(),
    sync: (id: string) => of(id).sync({ timeoutMs: 30_000 }),
    search: async (id: string, text: string) => {
      const found: string[] = []
      for await (const one of of(id).search({ text })) found.push(one.id)
      return found
    },
    unread: (id: string) => of(id).unread,
    /** Of the contract: newest first, every field. */
    views: async (id: string) => {
      const all: SdkView[] = []
      for await (const view of contract().messages(id as ConversationId)) all.push(viewOf(view))
      return all
    },
    /** Of the contract: what no public method writes. */
    append: (id: string, type: string, fields: Record<string, string>) => contract().append(id as ConversationId, { type, fields }),
    status: (id: string, name: string, member: string) => contract().statusOf(id as ConversationId, name as MessageId, member as AccountUri),
    sendFile: async (id: string, path: string, options: { name?: string; keep?: 'copy' | 'reference' } = {}) => {
      const { id: name, fileId } = await of(id).sendFile(path, options)
      return { message: name, fileId }
    },
    /** Fetches to a path; SHA3-512 of what lies there. */
    download: async (id: string, name: string, path: string, timeoutMs: number) => {
      const found = await message(id, name)
      if (found.type !== 'file') return absent(`file ${name}`)
      const begin = performance.now()
      const transfer = found.download(path, { timeoutMs })
      await transfer
      const ms = performance.now() - begin
      const hash = createHash('sha3-512')
      for await (const chunk of createReadStream(transfer.path ?? path)) hash.update(chunk as Buffer)
      return { sha3: hash.digest('hex'), ms: Math.round(ms), path: transfer.path }
    },
    filePolicy: (autoBytes: number) => account().files.setPolicy({ autoBytes }),
  }
}

function absent(what: string): never {
  throw new Error(`no ${what}`)
}
