// The other example programs, as they are, against each other and against the daemon.
import { eventually, must, type Scenario } from '../lib/scenario.ts'
import { missing } from './pair.ts'

export const examples: Scenario = {
  name: 'examples',
  about: 'examples/dht.ts, channel.ts and notify.ts, unchanged, in the isolated network',
  hosts: 7,
  budgetMs: { ci: 150_000, full: 200_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const bootstrap = await stage.step('a DHT is up', () => stage.bootstrapNode())
    const env = { JAMI_BOOTSTRAP: bootstrap, JAMI_NAMESERVER: '' }
    const example = (label: string, host: number, name: string, ...args: string[]) => stage.program(label, host, `examples/${name}.ts`, env, args)

    await stage.step('dht.ts: one process listens, another one puts, a third one gets', async () => {
      const listener = example('dht-listen', 2, 'dht', 'listen', 'greeting')
      const put = example('dht-put', 3, 'dht', 'put', 'greeting', 'hello from an example')
      must((await put.exited).code === 0, `put ended with ${put.text.join(' ')}`)
      await listener.until(() => listener.text.find((line) => line.includes('hello from an example')), 'the value')
      const get = example('dht-get', 4, 'dht', 'get', 'greeting')
      must((await get.exited).code === 0 && get.text.some((line) => line.includes('hello from an example')), `get printed ${get.text.join(' ')}`)
      listener.signal('SIGINT')
      must((await listener.exited).code === 0, 'the listener did not end cleanly')
    })
    await stage.step('channel.ts: a line goes to the server and comes back in capitals', async () => {
      const server = example('channel-serve', 2, 'channel', 'serve')
      const uri = await server.until(() => server.text.map((line) => /[0-9a-f]{40}/.exec(line)?.[0]).find((found) => found !== undefined), 'address on stdout')
      const client = example('channel-client', 3, 'channel', uri, 'hello')
      const { code } = await client.exited
      must(code === 0 && client.text.some((line) => line.startsWith('HELLO')), `ended with ${code}: ${client.text.join(' ')}`)
      server.signal('SIGTERM')
      must((await server.exited).code === 0, 'the server did not end cleanly')
    })
    await stage.step('notify.ts: a daemon that accepts gets the text, and the program says delivered', async () => {
      const daemon = await stage.daemon('daemon', 5)
      await daemon.addAccount({ bootstrap, name: 'Dana' })
      const notify = example('notify', 6, 'notify', daemon.uri, 'the build is green')
      const { args } = await daemon.wait('IncomingTrustRequest')
      await daemon.accept(String(args[2]))
      const { code } = await notify.exited
      must(code === 0 && notify.text.includes('delivered'), `ended with ${code}: ${notify.text.join(' ')}`)
      // the text may have come with the clone, for which the daemon has no message signal: its repository tells
      await eventually('the text in the repository of the daemon', () => missing(daemon.repository(String(args[1])), ['the build is green']).length === 0)
    })
  },
}
