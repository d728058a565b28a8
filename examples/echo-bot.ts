// An echo bot: accepts every contact request and says every message back. Prints its address; write to it from a Jami app.
//   npx tsx examples/echo-bot.ts        JAMI_BOOTSTRAP=host:port,host:port joins another network than the public one
import { createJamiNode, isolated, jamiNetwork } from 'jamikit'

const bootstrap = process.env.JAMI_BOOTSTRAP?.split(',')
const node = await createJamiNode({ storage: './echo-bot', network: bootstrap ? isolated(...bootstrap) : jamiNetwork })
const account = await node.accounts.open('echo', { displayName: 'Echo' })
account.on('contact:request', (request) => request.accept())
account.on('message', (message) => message.type === 'text' && message.conversation.send(message.text, { idempotencyKey: message.id }))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => node.close())
console.log(`jami:${account.uri}`)
