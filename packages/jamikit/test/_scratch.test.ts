import { Source } from '@jamikit/core/base'
import { createJamiNode, memoryStorage, lineLogger } from '@jamikit/core'
import { ManualClock, SeededRandom, SimNetwork, testCrypto } from '@jamikit/core/testing'
import { dht } from '@jamikit/dht'
import { ice } from '@jamikit/ice'
import { it } from 'vitest'

function stub(): any {
  return (env: any) => {
    const src = () => new Source<any>((e) => console.error(e))
    const [onEntry, onReady, onRemoved, onStatus, onTyping] = [src(), src(), src(), src(), src()]
    const convs = new Map<string, any>()
    return {
      start: async () => {}, stop: async () => {},
      list: () => [...convs.values()], get: (id: string) => convs.get(id),
      createOneToOne: async (peer: string) => { const id = Buffer.from(env.random.bytes(20)).toString('hex'); convs.set(id, { id, mode: 0, state: 'ready', members: [{ uri: env.identity.accountId, role: 'admin' }, { uri: peer, role: 'invited' }], head: id }); return id },
      accept: async (id: string, from: string) => { convs.set(id, { id, mode: 0, state: 'ready', members: [], head: id }); onReady.emit({ conversation: id }) },
      remove: async () => {}, history: async function* () {}, unacknowledged: async function* () {},
      onEntry: onEntry.listen, onReady: onReady.listen, onRemoved: onRemoved.listen, onStatus: onStatus.listen, onTyping: onTyping.listen,
    }
  }
}

async function flow(seed: number, latencyMs: number, lossRate: number, verbose = false): Promise<string[]> {
  const clock = new ManualClock()
  const random = new SeededRandom(seed)
  const network = new SimNetwork({ clock, random: random.fork('network'), trace: 'lengths', latencyMs, lossRate, jitterMs: latencyMs / 4 })
  const crypto = testCrypto({ random: random.fork('c') })
  const t0 = clock.now()
  const log: string[] = []
  const logger = lineLogger('debug', (line) => { if (verbose) console.error(Math.round(clock.now() - t0), line.slice(0, 300)) })
  const hub = dht()({ clock, crypto, random: random.fork('hub'), network: network.host('hub'), logger: logger.child({ h: 'hub' }), bootstrap: [], port: 4222 })
  await hub.start()
  const make = async (name: string) => {
    const node = await clock.run(createJamiNode({ storage: memoryStorage(), network: { bootstrap: ['hub:4222'] }, modules: { dht: dht(), connections: ice(), conversations: stub() }, logger: logger.child({ h: name }), runtime: { clock, crypto, random: random.fork(name), network: network.host(name) } }))
    const account = await clock.run(node.accounts.open(name, { displayName: name }))
    await clock.run(account.ready())
    log.push(`${name} ready ${clock.now() - t0}`)
    return { node, account }
  }
  const a = await make('a')
  const b = await make('b')
  const req = b.account.once('contact:request')
  const confirmed = a.account.once('contact', { filter: (e) => e.action === 'confirmed' })
  await clock.run(a.account.contacts.add(b.account.uri))
  const request = await clock.run(req)
  await clock.run(request.accept())
  await clock.run(confirmed)
  log.push(`confirmed ${clock.now() - t0}`)
  await clock.advance(5000)
  log.push(JSON.stringify(a.node.stats().links))
  network.partition(['a'], ['b', 'hub'])
  await clock.advance(300_000)
  log.push('partitioned ' + JSON.stringify([a.node.stats().links, b.node.stats().links, a.node.stats().dhtNodes, a.node.state]))
  network.heal()
  const h = clock.now()
  for (const [n, x] of [['a', a], ['b', b]] as const) { x.node.on('state', (e) => { log.push(`${n} ${e.state} +${clock.now() - h}`) }); x.account.on('presence', (e) => { log.push(`${n} presence ${e.state} +${clock.now() - h}`) }); x.account.on('online', (e) => { log.push(`${n} online ${e.online} +${clock.now() - h}`) }) }
  await clock.runUntil(() => a.node.stats().links > 0 && b.node.stats().links > 0)
  log.push(`again linked after ${clock.now() - h}`)
  await clock.run(a.node.close()); await clock.run(b.node.close()); await clock.run(hub.stop())
  await clock.advance(20000)
  log.push(JSON.stringify([network.openSockets(), clock.pending()]))
  console.error(seed, latencyMs, lossRate, log.join('; '), network.trace.length)
  return [...network.trace]
}
it('flows', async () => {
  for (let i = 0; i < 8; i++) { const t = Date.now(); await flow(i, 5 + i * 13, (i % 4) * 0.02); console.error('took', Date.now() - t) }
  const [x, y] = [await flow(3, 20, 0.02), await flow(3, 20, 0.02)]
  const i = x.findIndex((l, j) => l !== y[j])
  console.error('first difference', i, x.length, y.length, x.slice(i, i + 3), y.slice(i, i + 3))
}, 60000)
