// A drop for files: whatever contacts send lands in ./inbox, and they are told what arrived.
//   npx tsx examples/file-drop.ts [directory]        JAMI_BOOTSTRAP=host:port,host:port joins another network than the public one
import { mkdir } from 'node:fs/promises'
import { createJamiNode, isolated, JamiError, jamiNetwork } from 'jamikit'

const inbox = process.argv[2] ?? './inbox'
await mkdir(inbox, { recursive: true })
const bootstrap = process.env.JAMI_BOOTSTRAP?.split(',')
const node = await createJamiNode({ storage: './file-drop', network: bootstrap ? isolated(...bootstrap) : jamiNetwork })
node.on('error', ({ error, source }) => console.error(source, error.message))
const account = await node.accounts.open('drop', { displayName: 'File drop' })
account.files.setPolicy({ maxBytes: 4 * 2 ** 30 })
account.on('contact:request', (request) => request.accept())
account.on('message', async (message) => {
  if (message.type !== 'file') return
  const transfer = message.download(inbox, { keep: false, timeoutMs: 24 * 3_600_000 })
  let shown = 0
  try {
    for await (const { doneBytes, totalBytes = 0, bytesPerSec } of transfer) {
      if (doneBytes - shown < totalBytes / 10) continue
      shown = doneBytes
      console.log(`${message.name}: ${Math.round((100 * doneBytes) / totalBytes)} %, ${Math.round(bytesPerSec / 1000)} kB/s`)
    }
    await transfer
    console.log(`${message.name} of ${message.from}: ${transfer.path}`)
    await message.reply(`got ${message.name}, ${message.sizeBytes} bytes`, { idempotencyKey: message.id })
  } catch (error) {
    await message.reply(JamiError.is(error) ? error.code : 'something went wrong here')
    throw error
  }
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => node.close())
console.log(`jami:${account.uri}`)
