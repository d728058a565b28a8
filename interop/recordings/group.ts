// Takes down what real daemons write, say and show in the life of a group: `npx tsx interop/recordings/group.ts DIR`. What tests keep of it is in
// packages/swarm/test/vectors (group-life.*).
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { Daemon, MEMBER, TRANSFER } from '../lib/daemon.ts'
import { Namespaces } from '../lib/namespaces.ts'
import { OpenDht } from '../lib/opendht.ts'
import { killAllChildren } from '../lib/line-child.ts'

const base = process.argv[2] ?? '/tmp/rec-group'
mkdirSync(base, { recursive: true })
const net = new Namespaces(); net.up(6)
await net.capture(join(base, 'net.pcap'))
const t0 = performance.now()
const out: object[] = []
const log = (what: string, value: unknown = null) => { const line = { t: Math.round(performance.now() - t0), what, value }; out.push(line); console.log(JSON.stringify(line).slice(0, 1500)); writeFileSync(join(base, 'facts.jsonl'), out.map((l) => JSON.stringify(l)).join('\n') + '\n') }
const signals: string[] = []
const trace = (label: string, e: { line: object; atMs: number }) => { signals.push(JSON.stringify({ t: Math.round(e.atMs - t0), peer: label, ...e.line })); }
const git = (d: Daemon, c: string, ...a: string[]) => spawnSync('git', ['-c', 'safe.directory=*', '-C', d.repository(c), ...a], { encoding: 'utf8' }).stdout
const bootNode = new OpenDht({ label: 'boot', argv: net.inside(1, ...OpenDht.driver), dir: base, trace })
const mk = async (label: string, host: number) => Daemon.start({ label, netns: net.name(host), dir: join(base, label), trace, env: { JAMI_PEER_HOSTS: `${net.v4(1)} bootstrap.sfl.io bootstrap.jami.net`, JAMI_PEER_KEYLOG: '1', JAMI_PEER_FLAGS: '193', JAMI_LOG_DHTNET: '1' } })
const soft = async <T,>(what: string, p: Promise<T>): Promise<T | undefined> => { try { const r = await p; log(`ok: ${what}`, r ?? null); return r } catch (e) { log(`NOT: ${what}`, String(e).slice(0, 600)); return undefined } }
try {
  await bootNode.start({ port: 4222, isBootstrap: true })
  const bootstrap = `${net.v4(1)}:${bootNode.port}`
  const [alice, bob, carol, dave] = await Promise.all((['alice', 'bob', 'carol', 'dave'] as const).map(async (n, i) => { const d = await mk(n, i + 2); await d.addAccount({ bootstrap, name: n }); return d }))
  if (!alice || !bob || !carol || !dave) throw new Error('x')
  log('accounts', Object.fromEntries([alice, bob, carol, dave].map((d) => [d.label, [d.uri, d.account]])))
  const befriend = async (a: Daemon, b: Daemon) => { const id = await a.sendRequest(b.uri, a.label); await b.request(a.uri); await b.accept(a.uri); await b.ready(id); await a.joined(id, b.uri); return id }
  const ab = await befriend(alice, bob); const ac = await befriend(alice, carol); const ad = await befriend(alice, dave)
  log('befriended', { ab, ac, ad })
  // ---- group
  const g = await alice.startGroup()
  log('group', g)
  log('first', git(alice, g, 'cat-file', '-p', 'HEAD') + git(alice, g, 'ls-tree', '-r', 'HEAD'))
  await alice.updateProfile(g, { title: 'Trio', description: 'three of us' })
  await soft('profile signal', alice.wait('ConversationProfileUpdated', (a) => a[1] === g, { timeoutMs: 5000 }))
  for (const d of [bob, carol]) { await alice.invite(g, d.uri); log('invitation', await d.invited(g)); await d.acceptInvitation(g); await d.ready(g); await alice.joined(g, d.uri) }
  log('members', await alice.members(g)); log('infos', await bob.profile(g))
  await bob.joined(g, carol.uri)
  // messages
  await alice.send(g, 'hello all'); const hello = await bob.message(g, 'hello all'); await carol.heard(g, 'hello all')
  await bob.reply(g, 'hello alice', hello.id); await alice.message(g, 'hello alice')
  await alice.edit(g, hello.id, 'hello everybody'); await bob.wait('SwarmMessageUpdated', (a) => a[1] === g)
  await carol.react(g, hello.id, '👍'); await bob.wait('ReactionAdded', (a) => a[1] === g); 
  await bob.react(g, hello.id, '👋'); const rb = await carol.wait('ReactionAdded', (a) => a[1] === g && JSON.stringify(a).includes('👋'))
  const rid = (rb.args[3] as Record<string, string>).id ?? ''
  await bob.edit(g, rid, ''); await soft('removed signal', carol.wait('ReactionRemoved', (a) => a[1] === g))
  await carol.send(g, 'to be deleted'); const del = await carol.message(g, 'to be deleted'); await carol.edit(g, del.id, '')
  await bob.wait('SwarmMessageUpdated', (a) => a[1] === g && (a[2] as { id: string }).id === del.id)
  await carol.send(g, 'edited twice'); const tw = await alice.message(g, 'edited twice'); await carol.edit(g, tw.id, 'edited twice, once'); await carol.edit(g, tw.id, 'edited twice, twice')
  await alice.wait('SwarmMessageUpdated', (a) => a[1] === g && JSON.stringify(a).includes('edited twice, twice'))
  // file
  const file = join(alice.dir, 'note.txt'); writeFileSync(file, 'file content '.repeat(2000))
  await alice.sendFile(g, file, 'note.txt'); const ann = await bob.announcement(g, 'note.txt')
  log('file', ann)
  const target = join(bob.dir, 'got.txt'); await bob.downloadFile(g, ann.id, ann.body.fileId ?? '', target)
  await soft('finished', bob.transfer(ann.body.fileId ?? '', TRANSFER.finished, { timeoutMs: 20000 }))
  // empty and 1-byte files
  const f1 = join(alice.dir, 'one.bin'); writeFileSync(f1, 'x'); await alice.sendFile(g, f1, 'one.bin'); const a1 = await bob.announcement(g, 'one.bin')
  await bob.downloadFile(g, a1.id, a1.body.fileId ?? '', join(bob.dir, 'one.bin')); await soft('1 byte finished', bob.transfer(a1.body.fileId ?? '', TRANSFER.finished, { timeoutMs: 20000 }))
  await carol.announcement(g, 'one.bin')
  // carol downloads from whom?
  const c1 = await carol.announcement(g, 'note.txt'); await carol.downloadFile(g, c1.id, c1.body.fileId ?? '', join(carol.dir, 'got.txt')); await soft('carol finished', carol.transfer(c1.body.fileId ?? '', TRANSFER.finished, { timeoutMs: 20000 }))
  // resume: a partial file in place
  // displayed
  await bob.displayed(g, tw.id); await soft('displayed at alice', alice.wait('AccountMessageStatusChanged', (a) => a.includes(tw.id) && a.includes(bob.uri) && a.at(-1) === 3, { timeoutMs: 10000 }))
  // a non-admin bans
  log('bob (member) bans carol', await bob.ban(g, carol.uri).catch(String)); 
  // profile by member
  log('bob (member) changes the profile', await bob.updateProfile(g, { title: 'Hacked' }).catch(String))
  await soft('error signal', bob.wait('OnConversationError', (a) => a[1] === g, { timeoutMs: 5000 }))
  await alice.updateProfile(g, { avatar: 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==' })
  await soft('bob profile updated', bob.wait('ConversationProfileUpdated', (a) => a[1] === g && JSON.stringify(a).includes('avatar'), { timeoutMs: 10000 }))
  log('profile.vcf', git(alice, g, 'cat-file', '-p', 'HEAD:profile.vcf'))
  log('loaded alice', await alice.load(g)); log('loaded bob', await bob.load(g)); log('loaded carol', await carol.load(g))
  // ---- ban
  let s = bob.mark(); let sc = carol.mark()
  await alice.ban(g, carol.uri)
  await soft('bob sees ban', bob.memberEvent(g, carol.uri, MEMBER.banned, { since: s, timeoutMs: 20000 }))
  await soft('carol sees her ban', carol.memberEvent(g, carol.uri, MEMBER.banned, { since: sc, timeoutMs: 8000 }))
  log('log after ban', git(alice, g, 'log', '--format=%H %P %s', '-4')); log('tree after ban', git(alice, g, 'ls-tree', '-r', 'HEAD')); log('vote tree', git(alice, g, 'ls-tree', '-r', 'HEAD~1'))
  log('carol head', git(carol, g, 'rev-parse', 'HEAD')); log('alice head', git(alice, g, 'rev-parse', 'HEAD'))
  log('members after ban', await bob.members(g)); log('members at carol', await carol.members(g))
  await alice.send(g, 'without carol'); await bob.heard(g, 'without carol')
  await soft('carol hears it', carol.heard(g, 'without carol', { timeoutMs: 6000 }))
  await carol.send(g, 'from banned carol'); await soft('bob hears banned carol', bob.heard(g, 'from banned carol', { timeoutMs: 6000 }))
  log('carol log', git(carol, g, 'log', '--format=%H %s', '-3'))
  // ---- unban
  s = bob.mark(); sc = carol.mark()
  await alice.invite(g, carol.uri)
  await soft('bob sees unban', bob.memberEvent(g, carol.uri, MEMBER.unbanned, { since: s, timeoutMs: 20000 }))
  log('log after unban', git(alice, g, 'log', '--format=%H %P %s', '-4')); log('tree after unban', git(alice, g, 'ls-tree', '-r', 'HEAD'))
  await soft('carol gets request', carol.invited(g, { since: sc, timeoutMs: 6000 }))
  await alice.send(g, 'carol is back'); await soft('carol hears', carol.heard(g, 'carol is back', { timeoutMs: 15000 }))
  await carol.send(g, 'carol again'); await soft('alice hears', alice.heard(g, 'carol again', { timeoutMs: 15000 })); await soft('alice hears from banned time', alice.heard(g, 'from banned carol', { timeoutMs: 6000 }))
  log('carol log', git(carol, g, 'log', '--format=%H %P %s', '-6')); log('alice log', git(alice, g, 'log', '--format=%H %P %s', '-8'))
  // ---- ban of an invited one
  await alice.invite(g, dave.uri); await dave.invited(g); await alice.ban(g, dave.uri); await soft('dave banned (invited)', alice.memberEvent(g, dave.uri, MEMBER.banned, { timeoutMs: 8000 }))
  log('tree after ban of invited', git(alice, g, 'ls-tree', '-r', 'HEAD'))
  const sd = dave.mark(); await dave.acceptInvitation(g); await soft('dave ready', dave.ready(g, { since: sd, timeoutMs: 8000 }))
  await alice.invite(g, dave.uri); await soft('dave unbanned', alice.memberEvent(g, dave.uri, MEMBER.unbanned, { timeoutMs: 8000 })); log('tree after unban of invited', git(alice, g, 'ls-tree', '-r', 'HEAD'))
  await soft('dave ready after unban', dave.ready(g, { since: sd, timeoutMs: 25000 })); await soft('dave joined', alice.joined(g, dave.uri, { timeoutMs: 10000 }))
  // ---- leave
  s = alice.mark(); let sb = bob.mark()
  await bob.leave(g); await soft('alice sees bob leave', alice.memberEvent(g, bob.uri, MEMBER.left, { since: s, timeoutMs: 20000 })); await soft('bob removed', bob.wait('ConversationRemoved', (a) => a[1] === g, { since: sb, timeoutMs: 5000 }))
  log('leave commit', git(alice, g, 'cat-file', '-p', 'HEAD') + git(alice, g, 'ls-tree', '-r', 'HEAD'))
  log('bob repo exists', existsSync(bob.repository(g))); log('bob conversations', await bob.conversations()); log('members after leave', await alice.members(g))
  sb = bob.mark(); s = alice.mark()
  await alice.invite(g, bob.uri); log('re-invitation', await soft('bob re-invited', bob.invited(g, { since: sb, timeoutMs: 15000 }))); log('re-add commit', git(alice, g, 'cat-file', '-p', 'HEAD'))
  await bob.acceptInvitation(g); await soft('bob ready again', bob.ready(g, { since: sb, timeoutMs: 20000 })); await soft('joined again', alice.joined(g, bob.uri, { since: s, timeoutMs: 20000 }))
  log('re-join', git(alice, g, 'log', '--format=%H %P %s', '-3')); log('tree', git(alice, g, 'ls-tree', '-r', 'HEAD'))
  log('loaded end', await alice.load(g))
  // ---- re-invite of a member that is in
  sb = bob.mark(); await alice.invite(g, bob.uri); await soft('invited though member', bob.invited(g, { since: sb, timeoutMs: 4000 })); log('head after inviting a member', git(alice, g, 'log', '--format=%H %s', '-1'))
  // ---- sole admin leaves
  s = bob.mark(); await alice.leave(g); await soft('admin left', bob.memberEvent(g, alice.uri, MEMBER.left, { since: s, timeoutMs: 15000 })); log('tree without admin', git(bob, g, 'ls-tree', '-r', 'HEAD')); log('members without admin', await bob.members(g))
  // ---- 1:1
  s = alice.mark(); sb = bob.mark()
  await alice.call('removeContact', alice.account, bob.uri, false); log('after removeContact', { conv: await alice.conversations(), bobConv: await bob.conversations(), contacts: await alice.call('getContacts', alice.account) })
  await soft('bob sees', bob.memberEvent(ab, alice.uri, MEMBER.left, { since: sb, timeoutMs: 5000 }))
  log('1:1 log at bob', git(bob, ab, 'log', '--format=%H %P %s', '-3')); log('1:1 tree at bob', git(bob, ab, 'ls-tree', '-r', 'HEAD')); log('members', await bob.members(ab))
  await bob.send(ab, 'are you there?')
  sb = bob.mark()
  await alice.call('addContact', alice.account, bob.uri); await soft('conversation ready at alice', alice.wait('ConversationReady', () => true, { since: s, timeoutMs: 10000 }))
  log('after addContact', { conv: await alice.conversations(), requests: await alice.call('getTrustRequests', alice.account), contacts: await alice.call('getContacts', alice.account), details: await alice.call('getContactDetails', alice.account, bob.uri) })
  await soft('bob gets', bob.wait('IncomingTrustRequest', () => true, { since: sb, timeoutMs: 6000 })); await soft('bob ready', bob.wait('ConversationReady', () => true, { since: sb, timeoutMs: 6000 }))
  log('bob after', { conv: await bob.conversations(), details: await bob.call('getContactDetails', bob.account, alice.uri) })
  log('alice after', { conv: await alice.conversations(), details: await alice.call('getContactDetails', alice.account, bob.uri) })
  await bob.send(ab, 'hello again'); await soft('alice hears again', alice.wait('SwarmMessageReceived', (a) => JSON.stringify(a).includes('hello again'), { since: s, timeoutMs: 8000 }))
  log('1:1 log at alice', existsSync(alice.repository(ab)) ? git(alice, ab, 'log', '--format=%H %P %s') : 'none')
  for (const [name, d, c] of [['group', carol, g], ['one', bob, ab]] as const) spawnSync('git', ['-c', 'safe.directory=*', '-C', d.repository(c), 'bundle', 'create', join(base, `${name}.bundle`), '--all'])
  await Promise.all([alice, bob, carol, dave].map((d) => d.stop()))
} catch (e) { log('FAILED', String((e as Error).stack)) } finally {
  net.endCapture(); killAllChildren(); net.down(); writeFileSync(join(base, 'signals.jsonl'), signals.join('\n') + '\n')
}
