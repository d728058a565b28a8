// The daemon sends the contact request; examples/echo-bot.ts, as it is, accepts and answers.
import { bodies } from '../lib/git.ts'
import { eventually, must, type Scenario } from '../lib/scenario.ts'

const MESSAGES = 20

export const echoIn: Scenario = {
  name: 'echo-in',
  about: `the daemon sends the request; the unchanged examples/echo-bot.ts accepts and answers ${MESSAGES} messages`,
  hosts: 3,
  budgetMs: { ci: 120_000, full: 240_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const bootstrap = await stage.step('a DHT is up', () => stage.bootstrapNode())
    const bot = stage.program('bot', 3, 'examples/echo-bot.ts', { JAMI_BOOTSTRAP: bootstrap, JAMI_NAMESERVER: '' })
    const daemon = await stage.step('the daemon announces its account', async () => {
      const peer = await stage.daemon('daemon', 2)
      await peer.addAccount({ bootstrap, name: 'Dana' })
      return peer
    })
    const uri = await stage.step('the bot prints its address', () =>
      bot.until(() => bot.text.map((line) => /[0-9a-f]{40}/.exec(line)?.[0]).find((found) => found !== undefined), 'address on stdout', 30_000))
    const conversation = await stage.step('the bot accepts the request of the daemon, clones its conversation and joins', async () => {
      const id = await daemon.sendRequest(uri, 'Dana')
      await daemon.joined(id, uri, { timeoutMs: 60_000 })
      return id
    })
    await stage.step('one message is answered', async () => {
      await daemon.send(conversation, 'first')
      await eventually('the echo in the repository of the daemon', () => bodies(daemon.repository(conversation)).filter((body) => body === 'first').length === 2)
    })
    await stage.step(`${MESSAGES} messages are answered, each once`, async () => {
      const sent = Array.from({ length: MESSAGES }, (_, i) => `message ${i}`)
      for (const text of sent) await daemon.send(conversation, text)
      const counts = () => {
        const all = bodies(daemon.repository(conversation))
        return sent.map((text) => all.filter((body) => body === text).length)
      }
      await eventually('all echoes in the repository of the daemon', () => counts().every((count) => count >= 2), 60_000, 200).catch((error: unknown) => {
        throw new Error(`copies of each text: ${counts().join(' ')}`, { cause: error })
      })
      must(counts().every((count) => count === 2), `answered more than once: ${counts().join(' ')}`)
    })
    await stage.step('the bot ends cleanly on SIGTERM', async () => {
      bot.signal('SIGTERM')
      must(await bot.ended(10_000), 'had to be killed')
    })
  },
}
