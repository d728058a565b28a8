// Moderates groups: joins where it is invited, welcomes who joins, answers !help, and bans whoever wrote the message that an admin answers
// with !ban. It can ban where it is an admin, which is in groups of its own:  npx tsx examples/group-moderator.ts [jami id …]
// With ids it makes a group of its own, once, and invites them.
import { type Conversation, createJamiNode, isolated, JamiError, jamiNetwork, type TextMessage } from 'jamikit'

const bootstrap = process.env.JAMI_BOOTSTRAP?.split(',')
const node = await createJamiNode({ storage: './group-moderator', network: bootstrap ? isolated(...bootstrap) : jamiNetwork })
node.on('error', ({ error, source }) => console.error(source, error.message))
const account = await node.accounts.open('moderator', { displayName: 'Moderator' })

account.on('contact:request', (request) => request.accept())
account.on('invite', (invite) => invite.accept())
// one turn, one timeline: members, messages and edits come in the order in which they happened, again after a crash before they were handled
account.on('member', async ({ conversation, uri, action }) => {
  if (conversation.kind === 'group' && action === 'joined') await conversation.send(`Welcome, jami:${uri}`, { idempotencyKey: `welcome ${uri}` })
})
account.on('message', async (message) => {
  if (message.type !== 'text' || message.conversation.kind !== 'group') return
  if (message.text === '!help') await message.reply('!help: this. !ban, as an answer to a message, by an admin: bans who wrote it.', { idempotencyKey: message.id })
  if (message.text === '!ban') await ban(message)
})

function isAdmin(chat: Conversation, uri: string): boolean {
  return chat.members.some((member) => member.uri === uri && member.role === 'admin')
}

async function ban(order: TextMessage): Promise<void> {
  const { conversation: chat, from, replyTo } = order
  if (!replyTo || !isAdmin(chat, from)) return
  const target = await chat.message(replyTo)
  if (target.own || isAdmin(chat, target.from)) return
  try {
    await chat.ban(target.from)
    await order.react('✅')
  } catch (error) {
    if (!JamiError.is(error)) throw error
    await order.reply(error.code === 'ERR_NOT_ADMIN' ? 'I am no admin here.' : error.message, { idempotencyKey: `answer ${order.id}` })
  }
}

const guests = process.argv.slice(2)
if (guests.length > 0 && !account.conversations.list().some(({ kind }) => kind === 'group')) {
  const group = await account.conversations.create({ title: 'Moderated', members: guests })
  console.log(`made ${group.title} (${group.id})`)
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => node.close())
console.log(`jami:${account.uri}`)
