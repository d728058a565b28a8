// Who must be kept out: an unknown account, a banned one, bytes that are no ICE on the TCP port, a TLS peer whose chain does
// not verify. Each is refused with a typed error, and no link remains.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { eventually, must, rejection, type Scenario, type Stage } from '../lib/scenario.ts'
import { LineChild } from '../lib/line-child.ts'
import type { Sdk, SdkStart } from '../lib/sdk.ts'
import { strangers } from './pair.ts'

const REFUSED = new Set(['ERR_PEER_REFUSED', 'ERR_TIMEOUT', 'ERR_NO_ROUTE', 'ERR_PEER_OFFLINE', 'ERR_LINK_LOST', 'ERR_CERTIFICATE'])

async function refuses(attempt: Promise<unknown>, what: string): Promise<string> {
  const refused = await rejection(attempt)
  must(refused.code !== undefined && REFUSED.has(refused.code), `${what}: code ${refused.code}: ${refused.message}`)
  return refused.code
}

const noLinks = (sdk: Sdk, what: string) => eventually(`${what}: no link left`, async () => (await sdk.links()) === 0, 20_000)

/** Connects from a host to a port and writes garbage until the other side has enough. */
export async function garbage(stage: Stage, host: number, to: string, port: number): Promise<void> {
  const bytes = randomBytes(4096).toString('base64')
  const program = `const s = require('net').connect(${port}, ${JSON.stringify(to)}, () => { s.write(Buffer.from(${JSON.stringify(bytes)}, 'base64')); s.write('GET / HTTP/1.0\\r\\n\\r\\n') });
    s.on('error', () => {}); s.on('close', () => console.log(JSON.stringify({ closed: true }))); s.resume(); console.log(JSON.stringify({ connected: true }))`
  const child = new LineChild({ label: 'garbage', argv: stage.net.inside(host, process.execPath, '-e', program), stderrFile: join(stage.dir, 'garbage.log') })
  try {
    await child.waitEvent((line) => line.closed === true, 'our node to close the connection', { timeoutMs: 45_000 })
  } finally {
    child.kill()
  }
}

export const stranger: Scenario = {
  name: 'stranger',
  about: 'an unknown peer, a banned peer, garbage on the TCP port, a TLS peer with a broken chain: refused, no link left',
  hosts: 4,
  budgetMs: { ci: 240_000, full: 300_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const { bootstrap, daemon, sdk } = await stage.step('a daemon and our node announce their accounts on one DHT', () => strangers(stage))
    const start = (name: string, more: Partial<SdkStart> = {}): SdkStart => ({ bootstrap: [bootstrap], account: 'main', displayName: name, ...more })
    const other = await stage.step('a second node of ours is up', () => stage.sdk('other', 4, start('Other')))

    await stage.step('ICE-8 two unknown accounts, a node of ours and a daemon, get no link to us; ours is told so with a typed error', async () => {
      await daemon.sendRequest(sdk.uri, 'Dana')
      await other.addContact(sdk.uri)
      await Promise.all([sdk.request(daemon.uri), sdk.request(other.uri)])
      const code = await refuses(other.call('openChannel', sdk.uri, 'blob/1', 45_000), 'unknown account')
      stage.note({ unknown: code })
      must((await sdk.links()) === 0, 'there is a link')
    }, { timeoutMs: 60_000 })
    const conversation = await stage.step('the daemon is accepted after all, and texts flow', async () => {
      const id = await sdk.accept(daemon.uri)
      await daemon.joined(id, sdk.uri)
      await daemon.send(id, 'hello')
      await sdk.heard(id, 'hello')
      return id
    })
    await stage.step('ICE-48 the daemon is banned: its link closes at once and it gets no other', async () => {
      await sdk.call('removeContact', daemon.uri, true)
      await noLinks(sdk, 'banned')
      const since = sdk.mark()
      await daemon.send(conversation, 'from a banned account')
      await refuses(sdk.call('openChannel', daemon.uri, 'blob/1', 20_000), 'our own attempt to a banned account')
      await refuses(other.call('openChannel', sdk.uri, 'blob/1', 45_000), 'unknown account, while the banned one tries, too')
      must((await sdk.links()) === 0, 'there is a link')
      must(!sdk.child.events.slice(since).some((event) => JSON.stringify(event.line).includes('from a banned account')), 'its message came through')
    }, { timeoutMs: 60_000 })

    await stage.step('a second node of ours becomes a contact', async () => {
      const id = await sdk.accept(other.uri)
      await other.joined(id, sdk.uri)
      await eventually('a link', async () => (await sdk.links()) > 0)
    })
    await stage.step('garbage on the TCP port that a negotiation opened costs the connection only', async () => {
      // the contact is gone without saying so: our attempt to reach it keeps its listener open
      other.child.kill()
      await other.child.exited
      await sdk.call('closePeer', other.uri)
      const attempt = rejection(sdk.call('openChannel', other.uri, 'blob/1', 40_000))
      const port = await eventually('a TCP listener of our node', () => stage.net.listeningPorts(3)[0], 20_000)
      await Promise.all([1, 2, 3].map(() => garbage(stage, 4, stage.net.v4(3), port)))
      stage.note({ attempt: (await attempt).code })
      await noLinks(sdk, 'garbage')
    }, { timeoutMs: 60_000 })
    await stage.step('the contact comes back with its profile, and texts flow again', async () => {
      const back = await stage.sdk('other', 4, start('Other'))
      const id = (await back.call('addContact', sdk.uri)) as string
      await back.send(id, 'back again')
      await sdk.heard(id, 'back again', { timeoutMs: 40_000 })
      await back.stop()
      await noLinks(sdk, 'contact stopped')
    })
    await stage.step('ICE-28 ICE-9 the contact comes with a TLS chain that another key has signed: refused, no link', async () => {
      const liar = await stage.sdk('other', 4, start('Other', { brokenTls: true }))
      const code = await refuses(liar.call('openChannel', sdk.uri, 'blob/1', 30_000), 'broken chain')
      stage.note({ brokenChain: code })
      must((await sdk.links()) === 0, 'there is a link')
      await liar.stop()
    })
    await stage.step('after all that our node still answers, has no link, and ends by itself', async () => {
      await noLinks(sdk, 'end')
      await sdk.stop()
    })
  },
}
