// Tells somebody something and says whether it arrived:  npx tsx examples/notify.ts <jami id> the text to send
// Jami has no server that stores messages: `queued` means that it goes out as soon as both sides are online while this profile
// runs. Ends with 0 when it was delivered, with 1 when it was not within a minute.
import { createJamiNode, isolated, JamiError, jamiNetwork } from 'jamikit'

const [user = '', ...words] = process.argv.slice(2)
const bootstrap = process.env.JAMI_BOOTSTRAP?.split(',')
const node = await createJamiNode({ storage: './notify', network: bootstrap ? isolated(...bootstrap) : jamiNetwork })
node.on('error', ({ error, source }) => console.error(source, error.message))
try {
  const account = await node.accounts.open('notify', { displayName: 'Notify' })
  const chat = await account.conversations.with(user, { timeoutMs: 30_000 }) // sends a contact request the first time
  const message = await chat.send(words.join(' '))
  await message.delivered({ timeoutMs: 60_000 })
  console.log('delivered')
} catch (error) {
  if (!JamiError.is(error)) throw error
  console.log(error.code === 'ERR_TIMEOUT' ? 'queued' : `${error.code}: ${error.message}`)
  process.exitCode = 1
} finally {
  await node.close()
}
