// An account that comes back from its archive on another machine: a new device finds its contacts and conversations again, is handed
// what the account has not answered yet, and can write. docs/protocol/03 §3.5, 04 §4.7.
import type { Account, Message } from '@jamikit/core'
import { createTestNetwork } from 'jamikit/testing'
import { expect, it } from 'vitest'

const textsOf = async (all: AsyncIterable<Message>): Promise<string[]> => {
  const out: string[] = []
  for await (const message of all) if (message.type === 'text') out.push(message.text)
  return out
}

it('a profile that was lost is replaced by its archive; the other side notices nothing but a new device', async () => {
  const net = await createTestNetwork({ seed: 21 })
  const alice = await net.account('alice')
  const first = await net.createNode({ host: 'first' })
  const bot: Account = await net.run(first.accounts.open('bot', { displayName: 'Bot' }))
  await net.run(bot.ready())
  await net.befriend(alice, bot)
  const chat = await net.run(alice.conversations.with(bot.uri))
  const answer = alice.once('message', { filter: (m) => m.type === 'text' && m.text === 'answer' })
  bot.on('message', (message) => message.reply('answer', { idempotencyKey: message.id }))
  await net.run(chat.send('before'))
  await net.run(answer)
  const archive = await net.run(bot.export())
  await net.run(first.close())
  await net.run(chat.send('while nobody was there'))

  const second = await net.createNode({ host: 'second' })
  const again = await net.run(second.accounts.import(archive, { label: 'bot' }))
  const heard: string[] = []
  again.on('message', async (message) => {
    if (message.type !== 'text') return
    heard.push(message.text)
    await message.reply(`echo ${message.text}`, { idempotencyKey: message.id })
  })
  expect([again.uri, again.deviceId === bot.deviceId]).toEqual([bot.uri, false])
  await net.advance(1_200_000)
  const answered = alice.once('message', { filter: (m) => m.type === 'text' && m.text === 'echo hello again' })
  await net.run(chat.send('hello again'))
  await net.run(answered, 1_800_000)
  expect(heard).toEqual(['while nobody was there', 'hello again'])
  const his = await net.run(again.conversations.with(alice.uri))
  expect(his.id).toBe(chat.id)
  expect(await textsOf(his.history({ order: 'oldest' }))).toEqual(['before', 'answer', 'while nobody was there', 'echo while nobody was there', 'hello again', 'echo hello again'])
  await net[Symbol.asyncDispose]()
  await net.advance(60_000)
  expect([net.network.openSockets(), net.clock.pending()]).toEqual([[], []])
})
