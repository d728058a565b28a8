// npm run demo: the whole of Jami between two nodes on this machine, offline, with nobody else involved. An isolated DHT, two
// new accounts, a contact request, messages both ways, a group, a file. Ends by itself.
import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type Account, createJamiNode, isolated, type JamiNode } from 'jamikit'

const began = performance.now()
const tell = (who: string, what: string) => console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${who.padEnd(6)} ${what}`)
const short = (id: string) => `${id.slice(0, 8)}…`

/** A UDP port that nobody uses. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0)
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

async function newcomer(name: string, node: JamiNode): Promise<Account> {
  tell(name, 'makes an account and waits for three RSA keys of 4096 bits, some seconds of another thread')
  const account = await node.accounts.open(name.toLowerCase(), { displayName: name })
  tell(name, 'has its keys and waits for the DHT to take its announcement')
  await account.ready({ timeoutMs: 20_000 })
  tell(name, `is jami:${account.uri}, announced on the DHT`)
  account.on('message', (message) => message.type === 'text' && tell(name, `reads    "${message.text}"`))
  return account
}

async function demo(): Promise<void> {
  const port = await freePort()
  // the first node is its own DHT: it enters through nobody
  const first = await createJamiNode({ network: isolated(), dht: { port } })
  const second = await createJamiNode({ network: isolated(`127.0.0.1:${port}`) })
  try {
    tell('', `two nodes share a DHT of their own on UDP port ${port}`)
    const [alice, bob] = await Promise.all([newcomer('Alice', first), newcomer('Bob', second)])

    const asked = bob.once('contact:request', { timeoutMs: 20_000 })
    const joined = alice.once('member', { timeoutMs: 20_000, filter: (event) => event.uri === bob.uri && event.action === 'joined' })
    const chat = await alice.conversations.with(bob.uri)
    tell('Alice', `asks Bob to be a contact; conversation ${short(chat.id)} is a git repository`)
    const request = await asked
    tell('Bob', `got the request of ${request.from.displayName ?? short(request.from.uri)} over the DHT and accepts`)
    const reply = await request.accept({ timeoutMs: 20_000 })
    tell('Bob', 'cloned the conversation over ICE, TLS 1.3 and a git channel')
    await joined
    tell('Alice', 'sees that Bob has joined')

    const heard = [alice.once('message', { timeoutMs: 20_000 }), bob.once('message', { timeoutMs: 20_000 })]
    const hello = await chat.send('Hello Bob, there is no server between us.')
    const answer = await reply.send('Hello Alice, so I see.')
    await Promise.all(heard)
    await Promise.all([hello, answer].map((message) => message.delivered({ timeoutMs: 20_000 })))
    tell('', `both messages are delivered`)

    const invited = bob.once('invite', { timeoutMs: 20_000 })
    const inside = alice.once('member', { timeoutMs: 20_000, filter: (event) => event.uri === bob.uri && event.action === 'joined' })
    const group = await alice.conversations.create({ title: 'The plan', members: [bob.uri] })
    tell('Alice', `makes the group "${group.title}" and invites Bob`)
    await (await invited).accept({ timeoutMs: 20_000 })
    await inside
    const answered = bob.once('message', { timeoutMs: 20_000, filter: (message) => message.type === 'text' })
    await group.send('Who brings the cake?')
    const reacted = alice.once('reaction', { timeoutMs: 20_000 })
    await (await answered).react('🍰')
    tell('Alice', `sees that Bob has answered with ${(await reacted).emoji}`)

    const announced = bob.once('message', { timeoutMs: 20_000, filter: (message) => message.type === 'file' })
    const bytes = randomBytes(4 << 20)
    await group.sendFile(bytes, { name: 'cake.jpg' })
    tell('Alice', 'sends a file of 4 MiB')
    const file = await announced
    if (file.type !== 'file') throw new Error(`got a message of type ${file.type}, expected a file`)
    const hash = createHash('sha256')
    for await (const piece of file.download(undefined, { timeoutMs: 20_000 }).readable) hash.update(piece)
    if (hash.digest('hex') !== createHash('sha256').update(bytes).digest('hex')) throw new Error('the file is not what was sent')
    tell('Bob', `has ${file.name}, byte for byte, over a channel of its own`)
  } finally {
    await Promise.all([first.close(), second.close()])
  }
  tell('', 'done')
}

await demo()
