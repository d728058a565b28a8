// Objects of the API as programs print and refer to them: short, without secrets; a reply is to a message that is here.
import { inspect } from 'node:util'
import type { Message, MessageId } from '@jamikit/core'
import { createTestNetwork } from 'jamikit/testing'
import { expect, it } from 'vitest'

it('console.log of a node, an account, a conversation or a message is a line that says which, and no secret', async () => {
  await using net = await createTestNetwork({ seed: 12 })
  const [alice, bob] = [await net.account('alice'), await net.account('bob')]
  await net.befriend(alice, bob)
  const chat = await net.run(alice.conversations.with(bob.uri))
  const message = await net.run(chat.send(`a secret?${'x'.repeat(200)}`))
  expect(inspect(net.node(alice))).toBe('JamiNode { state: "online", accounts: 1 }')
  expect(inspect(alice)).toBe(`Account { uri: "${alice.uri}", label: "alice", displayName: "alice", deviceId: "${alice.deviceId}", online: true }`)
  expect(inspect(chat)).toBe(`Conversation { id: "${chat.id}", ready: true, members: 2, head: "${chat.head}" }`)
  expect(inspect(message)).toBe(`Message { id: "${message.id}", type: "text", from: "${alice.uri}", name: "alice", sentAt: "${message.sentAt.toISOString()}", text: "a secret?${'x'.repeat(111)}…" }`)
  const first: Message[] = []
  const read = async () => {
    for await (const entry of chat.history({ order: 'oldest', limit: 1 })) first.push(entry)
  }
  await net.run(read())
  expect(inspect(first)).toMatch(/^\[\n {2}Message \{ id: "[0-9a-f]{40}", type: "initial", from: "[0-9a-f]{40}".*\}\n\]$/)
  for (const object of [net.node(alice), alice, chat, message]) expect(inspect({ object }, { depth: 20 })).not.toMatch(/PRIVATE KEY|privateKey|password/)
  await net.run(net.node(alice).close())
  expect([inspect(alice).startsWith('Account {'), inspect(chat).startsWith('Conversation {'), inspect(net.node(alice))]).toEqual([true, true, 'JamiNode { state: "closed", accounts: 1 }'])
})

it('a reply to a message that is not in the history is refused, and nothing is sent; one to any message that is in it is not', async () => {
  await using net = await createTestNetwork({ seed: 13 })
  const [alice, bob] = [await net.account('alice'), await net.account('bob')]
  await net.befriend(alice, bob)
  const chat = await net.run(alice.conversations.with(bob.uri))
  const { head } = chat
  const nowhere = 'a'.repeat(40) as MessageId
  await expect(net.run(chat.send('x', { replyTo: nowhere }))).rejects.toMatchObject({ code: 'ERR_NOT_FOUND', details: { field: 'replyTo', message: nowhere } })
  await expect(net.run(chat.send('x', { replyTo: nowhere, idempotencyKey: 'k' }))).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
  expect(chat.head).toBe(head)
  const first = await net.run(chat.send('x', { idempotencyKey: 'k' }))
  const reply = await net.run(chat.send('y', { replyTo: first.id }))
  expect([first.replyTo, reply.replyTo, (await net.run(first.reply('z'))).replyTo]).toEqual([undefined, first.id, first.id])
})
