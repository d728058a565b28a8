// A protocol of one's own between two contacts, over the authenticated links that Jami uses for everything.
//   npx tsx examples/channel.ts serve              prints its address, accepts contacts, and answers each line in capitals
//   npx tsx examples/channel.ts <address> hello    becomes a contact, sends the line, prints the answer
import { once } from 'node:events'
import { createJamiNode, isolated, jamiNetwork } from 'jamikit'

const [target = 'serve', ...words] = process.argv.slice(2)
const serving = target === 'serve'
const bootstrap = process.env.JAMI_BOOTSTRAP?.split(',')
const node = await createJamiNode({ storage: serving ? './channel-server' : './channel-client', network: bootstrap ? isolated(...bootstrap) : jamiNetwork })
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => node.close())
const account = await node.accounts.open('me')

if (serving) {
  account.on('contact:request', (request) => request.accept())
  account.channels.handle('capitals/1', (channel) => channel.on('data', (line: Buffer) => channel.write(line.toString().toUpperCase())))
  console.log(`jami:${account.uri}`)
} else {
  const chat = await account.conversations.with(target)
  // strangers get no link: wait until the other side has accepted and joined the conversation
  if (!chat.members.some((member) => member.uri !== account.uri && member.role === 'member')) {
    await account.once('member', { timeoutMs: 60_000, filter: (event) => event.conversation.id === chat.id && event.action === 'joined' })
  }
  const channel = await node.connect(target).openChannel('capitals/1', { timeoutMs: 30_000 })
  channel.write(words.join(' '))
  const [answer] = (await once(channel, 'data')) as [Buffer]
  console.log(`${answer.toString()}   (over ${channel.path.kind} ${channel.path.remote})`)
  channel.end()
  await node.close()
}
