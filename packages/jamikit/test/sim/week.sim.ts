// A bot over days (a week with JAMIKIT_SIM=full): a message every few minutes, outages of minutes and hours, both sides by turns. Every
// message is answered once, and what a node holds open does not grow.
import type { Conversation } from '@jamikit/core'
import { SeededRandom } from '@jamikit/core/testing'
import { createTestNetwork } from 'jamikit/testing'
import { expect, it } from 'vitest'

const DAYS = process.env.JAMIKIT_SIM === 'full' ? 7 : 1
const HOUR_MS = 3_600_000

it(`${DAYS} days with outages: nothing is lost, doubled or left open`, async () => {
  const net = await createTestNetwork({ seed: 7, lossRate: 0.01 })
  const random = new SeededRandom('week')
  const [alice, bot] = [await net.account('alice'), await net.account('bot')]
  bot.on('message', (message) => message.type === 'text' && message.conversation.send(`echo ${message.text}`, { idempotencyKey: message.id }))
  await net.befriend(alice, bot)
  const conversation: Conversation = await net.run(alice.conversations.with(bot.uri))
  const sent: string[] = []
  const open: { timers: number; sockets: number }[] = []
  for (let hour = 0; hour < 24 * DAYS; hour++) {
    const outage = hour % 6 === 3
    if (outage) net.partition([alice], [bot])
    for (let i = 0; i < 3; i++) {
      sent.push(`message ${sent.length}`)
      await net.run(conversation.send(sent.at(-1) ?? ''))
      await net.advance(random.below(HOUR_MS / 3))
    }
    if (outage) net.heal()
    await net.advance(HOUR_MS / 4)
    if (hour % 6 === 5) open.push({ timers: net.clock.pending().length, sockets: net.network.openSockets().length })
  }
  await net.advance(HOUR_MS)
  const texts: string[] = []
  const read = async () => {
    for await (const message of conversation.history({ order: 'oldest' })) if (message.type === 'text') texts.push(message.text)
  }
  await net.run(read())
  expect(texts.filter((text) => !text.startsWith('echo '))).toEqual(sent)
  expect(texts.filter((text) => text.startsWith('echo ')).sort()).toEqual(sent.map((text) => `echo ${text}`).sort())
  const [first, last] = [open[0], open.at(-1)]
  if (!first || !last) throw new Error('unreachable')
  expect(last.timers).toBeLessThanOrEqual(first.timers + 20)
  expect(last.sockets).toBeLessThanOrEqual(first.sockets + 4)
  await net[Symbol.asyncDispose]()
  await net.advance(60_000)
  expect([net.network.openSockets(), net.clock.pending()]).toEqual([[], []])
})
