// The distributed hash table alone: no account, no profile.
//   npx tsx examples/dht.ts put some/key some text      npx tsx examples/dht.ts get some/key      npx tsx examples/dht.ts listen some/key
import { createJamiNode, isolated, jamiNetwork } from 'jamikit'

const [command, name = '', ...words] = process.argv.slice(2)
const bootstrap = process.env.JAMI_BOOTSTRAP?.split(',')
const node = await createJamiNode({ network: bootstrap ? isolated(...bootstrap) : jamiNetwork })
const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
try {
  await node.dht.ready({ timeoutMs: 30_000 })
  const key = node.dht.key(name)
  const text = new TextDecoder()
  if (command === 'put') {
    const { id, storedBy } = await node.dht.put(key, words.join(' '), { timeoutMs: 30_000 })
    console.log(`value ${id} stored by ${storedBy} nodes`)
  } else if (command === 'get') {
    for await (const value of node.dht.get(key, { timeoutMs: 30_000 })) console.log(`${value.id}: ${text.decode(value.data)}`)
  } else if (command === 'listen') {
    for await (const { value, expired } of node.dht.listen(key, { signal: stop.signal })) console.log(`${value.id}${expired ? ' expired' : `: ${text.decode(value.data)}`}`)
  } else {
    console.error('usage: dht.ts put|get|listen key [text]')
    process.exitCode = 2
  }
} finally {
  await node.close()
}
