// Takes down what real daemons do with files: cut and resumed, gone, wrong, from several holders: `npx tsx interop/recordings/files.ts DIR`.
import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Daemon, TRANSFER } from '../lib/daemon.ts'
import { killAllChildren } from '../lib/line-child.ts'
import { Namespaces, run } from '../lib/namespaces.ts'
import { OpenDht } from '../lib/opendht.ts'
import { eventually } from '../lib/scenario.ts'

const base = process.argv[2] ?? '/tmp/rec-files'
mkdirSync(base, { recursive: true })
const net = new Namespaces()
net.up(5)
await net.capture(join(base, 'net.pcap'))
const began = performance.now()
const log = (what: string, value: unknown = null) => console.log(JSON.stringify({ t: Math.round(performance.now() - began), what, value }))
const signals: string[] = []
const trace = (label: string, event: { line: object; atMs: number }) => signals.push(JSON.stringify({ t: Math.round(event.atMs - began), peer: label, ...event.line }))
const soft = async <T>(what: string, wanted: Promise<T>): Promise<T | undefined> => wanted.then((value) => (log(`ok: ${what}`, value ?? null), value), (error) => (log(`NOT: ${what}`, String(error).slice(0, 500)), undefined))
const daemon = (label: string, host: number) => Daemon.start({ label, netns: net.name(host), dir: join(base, label), trace, env: { JAMI_PEER_HOSTS: `${net.v4(1)} bootstrap.sfl.io`, JAMI_PEER_KEYLOG: '1', JAMI_PEER_FLAGS: '193', JAMI_LOG_DHTNET: '1' } })
const sha = (file: string) => createHash('sha3-512').update(readFileSync(file)).digest('hex').slice(0, 16)
const data = (d: Daemon, c: string) => { const dir = join(d.dir, 'data', 'jami', d.account, 'conversation_data', c); return existsSync(dir) ? readdirSync(dir).map((n) => `${n} ${statSync(join(dir, n), { throwIfNoEntry: false })?.size}`) : [] }
try {
  const boot = new OpenDht({ label: 'boot', argv: net.inside(1, ...OpenDht.driver), dir: base, trace })
  await boot.start({ port: 4222, isBootstrap: true })
  const bootstrap = `${net.v4(1)}:${boot.port}`
  let [alice, bob] = await Promise.all([daemon('alice', 2), daemon('bob', 3)])
  const carol = await daemon('carol', 4)
  await Promise.all([alice, bob, carol].map((d) => d.addAccount({ bootstrap, name: d.label })))
  for (const d of [bob, carol]) { const id = await alice.sendRequest(d.uri, 'alice'); await d.request(alice.uri); await d.accept(alice.uri); await d.ready(id); await alice.joined(id, d.uri) }
  const g = await alice.startGroup({ title: 'files' })
  for (const d of [bob, carol]) { await alice.invite(g, d.uri); await d.invited(g); await d.acceptInvitation(g); await d.ready(g); await alice.joined(g, d.uri) }
  log('accounts', [alice, bob, carol].map((d) => [d.label, d.uri]))
  const send = async (name: string, size: number) => { const path = join(alice.dir, name); writeFileSync(path, randomBytes(size)); return { path, ...(await alice.sendFile(g, path, name)) } }
  // 1. the downloader is killed in the middle
  const big = await send('big.bin', 24 << 20)
  await bob.announcement(g, 'big.bin')
  run(['ip', 'netns', 'exec', net.name(2), 'tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'tbf', 'rate', '24mbit', 'burst', '64kb', 'latency', '200ms'])
  const target = join(bob.dir, 'big.out')
  await bob.downloadFile(g, big.message, big.fileId, target)
  await eventually('some bytes', () => readdirSync(bob.dir).some((n) => n.startsWith('big.out') && statSync(join(bob.dir, n)).size > 4 << 20) || data(bob, g).some((l) => /(\d{7,})$/.test(l)), 30000)
  log('while downloading', { dir: readdirSync(bob.dir).filter((n) => n.startsWith('big')).map((n) => `${n} ${statSync(join(bob.dir, n)).size}`), data: data(bob, g), info: await bob.call('fileTransferInfo', bob.account, g, big.fileId) })
  bob.child.kill(); await bob.child.exited
  log('after the kill', { dir: readdirSync(bob.dir).filter((n) => n.startsWith('big')).map((n) => `${n} ${statSync(join(bob.dir, n)).size}`), data: data(bob, g) })
  bob = await daemon('bob', 3); await bob.resume(); log('bob is back')
  await soft('bob finishes by himself', bob.transfer(big.fileId, TRANSFER.finished, { timeoutMs: 25_000 }))
  if (!existsSync(target)) { await bob.downloadFile(g, big.message, big.fileId, target); await soft('bob finishes when told', bob.transfer(big.fileId, TRANSFER.finished, { timeoutMs: 30_000 })) }
  log('hashes', { sent: sha(big.path), got: existsSync(target) ? sha(target) : null, dir: readdirSync(bob.dir).filter((n) => n.startsWith('big')), data: data(bob, g) })
  // 2. the sender is killed in the middle
  const big2 = await send('big2.bin', 24 << 20); await bob.announcement(g, 'big2.bin')
  const target2 = join(bob.dir, 'big2.out'); let s = bob.mark()
  await bob.downloadFile(g, big2.message, big2.fileId, target2)
  await eventually('some bytes', () => readdirSync(bob.dir).some((n) => n.startsWith('big2.out') && statSync(join(bob.dir, n)).size > 4 << 20) || data(bob, g).some((l) => /big2.*(\d{7,})$/.test(l)), 30000).catch((e) => log('no bytes', String(e)))
  alice.child.kill(); await alice.child.exited; log('alice killed', { dir: readdirSync(bob.dir).filter((n) => n.startsWith('big2')).map((n) => `${n} ${statSync(join(bob.dir, n)).size}`) })
  await soft('bob told of the cut', bob.wait('DataTransferEvent', (a) => a[3] === big2.fileId && a[4] !== TRANSFER.ongoing, { since: s, timeoutMs: 20_000 }))
  alice = await daemon('alice', 2); await alice.resume(); log('alice is back')
  await soft('bob finishes by himself', bob.transfer(big2.fileId, TRANSFER.finished, { since: s, timeoutMs: 40_000 }))
  log('hashes 2', { sent: sha(big2.path), got: existsSync(target2) ? sha(target2) : null, dir: readdirSync(bob.dir).filter((n) => n.startsWith('big2')).map((n) => `${n} ${statSync(join(bob.dir, n)).size}`) })
  spawnSync('ip', ['netns', 'exec', net.name(2), 'tc', 'qdisc', 'del', 'dev', 'eth0', 'root'])
  // 3. changed after the announcement: same size, other bytes; 4. gone; 5. longer
  for (const [name, spoil] of [['wrong.bin', (p: string) => writeFileSync(p, randomBytes(300_000))], ['gone.bin', (p: string) => rmSync(p)], ['short.bin', (p: string) => writeFileSync(p, randomBytes(200_000))], ['long.bin', (p: string) => writeFileSync(p, randomBytes(400_000))]] as const) {
    const f = await send(name, 300_000); await bob.announcement(g, name); spoil(f.path)
    s = bob.mark(); const out = join(bob.dir, name)
    await bob.downloadFile(g, f.message, f.fileId, out)
    await soft(`${name} at bob`, bob.wait('DataTransferEvent', (a) => a[3] === f.fileId && (a[4] as number) > 5, { since: s, timeoutMs: 10_000 }))
    log(name, { exists: existsSync(out), dir: readdirSync(bob.dir).filter((n) => n.startsWith(name)).map((n) => `${n} ${statSync(join(bob.dir, n)).size}`), info: await bob.call('fileTransferInfo', bob.account, g, f.fileId), alice: data(alice, g).filter((l) => l.includes(f.fileId)) })
  }
  // 6. the sender is away, carol has it
  const shared = await send('shared.bin', 500_000); await carol.announcement(g, 'shared.bin'); await bob.announcement(g, 'shared.bin')
  await carol.downloadFile(g, shared.message, shared.fileId, join(carol.dir, 'shared.bin')); await carol.transfer(shared.fileId, TRANSFER.finished)
  // 7. cancel
  const c = await send('cancel.bin', 1000); await bob.announcement(g, 'cancel.bin'); log('cancel', await bob.call('cancelDataTransfer', bob.account, g, c.fileId))
  // 8. deleted announcement
  await alice.edit(g, c.message, ''); const deleted = await soft('deletion at bob', bob.wait('SwarmMessageUpdated', (a) => JSON.stringify(a).includes(c.message), { timeoutMs: 8000 })); log('deleted', deleted?.args[2]); log('alice keeps', data(alice, g).filter((l) => l.includes(c.fileId)))
  log('in git', spawnSync('git', ['-c', 'safe.directory=*', '-C', alice.repository(g), 'log', '-1', '--format=%s'], { encoding: 'utf8' }).stdout)
  await soft('download of a deleted file', bob.downloadFile(g, c.message, c.fileId, join(bob.dir, 'deleted.bin')))
  // 9. empty file
  const empty = await soft('empty file', send('empty.bin', 0)); if (empty) { await bob.announcement(g, 'empty.bin'); s = bob.mark(); await bob.downloadFile(g, empty.message, empty.fileId, join(bob.dir, 'empty.bin')); await soft('empty at bob', bob.wait('DataTransferEvent', (a) => a[3] === empty.fileId && (a[4] as number) > 5, { since: s, timeoutMs: 8000 })); log('empty exists', existsSync(join(bob.dir, 'empty.bin'))) }
  await soft('alice stops', alice.stop())
  s = bob.mark(); await bob.downloadFile(g, shared.message, shared.fileId, join(bob.dir, 'shared.bin')); await soft('bob gets it though alice is away', bob.transfer(shared.fileId, TRANSFER.finished, { since: s, timeoutMs: 15_000 }))
  await Promise.all([bob, carol].map((d) => d.stop()))
} catch (error) {
  log('FAILED', String((error as Error).stack))
} finally {
  net.endCapture(); killAllChildren(); net.down(); writeFileSync(join(base, 'signals.jsonl'), `${signals.join('\n')}\n`)
}
