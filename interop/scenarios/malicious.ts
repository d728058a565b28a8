// A hostile member serves forged commits with Debian's git: each is refused by our node with its reason, and nothing of it is taken.
import { spawn } from 'node:child_process'
import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { chainToPem, parseChain } from '@jamikit/core/identity'
import { testIdentity } from '@jamikit/core/testing'
import { forgeChain } from '../lib/broken-chain.ts'
import { accountFile, deviceFile, Forge, type Forged, type Tree, type Who } from '../lib/forge.ts'
import { must, type Scenario, type Stage } from '../lib/scenario.ts'
import type { Sdk } from '../lib/sdk.ts'
import { befriend, sdkStart } from './sides.ts'

const json = (fields: Readonly<Record<string, unknown>>) => JSON.stringify(Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))))
const text = (body: string) => json({ type: 'text/plain', body })
const member = (action: string, uri: string) => json({ type: 'member', action, uri })

function person(account: number, device = 0): Who {
  const { device: identity } = testIdentity(account, device)
  return { account: identity.accountId, device: identity.deviceId, key: identity.privateKey.pem, chain: identity.chain.map((certificate) => certificate.pem) }
}

const [peter, ivan, bert, stranger] = [person(1), person(2), person(3), person(4)] as [Who, Who, Who, Who]

/** What a case may build on. */
interface Ground {
  readonly forge: Forge
  readonly mallory: Who
  /** The victim's account. */
  readonly kim: string
  /** The commit on top of which it forges, and its tree. */
  readonly head: string
  readonly tree: Tree
  /** A text of Peter, a call of Mallory. */
  readonly text: string
  readonly call: string
  readonly time: number
  readonly impostor: Who
  /** By Mallory on top of the head, unless it says otherwise. */
  commit(change: Parameters<Forge['tree']>[1], message: string, more?: Partial<Forged>): string
}

type Case = readonly [title: string, rule: RegExp | 'taken', make: (on: Ground) => string]

const CASES: readonly Case[] = [
  ['an honest text (the forger can write what is right)', 'taken', (on) => on.commit({}, text('honest'))],
  ['unsigned', /no signature header/, (on) => on.commit({}, text('x'), { signed: 'nobody' })],
  ['a signature of other bytes', /signature does not verify/, (on) => on.commit({}, text('x'), { signed: 'wrong' })],
  ['signed by another device', /signature does not verify/, (on) => on.commit({}, text('x'), { signed: peter })],
  ['a device file with another key than its name', /certificate is of another device/, (on) => on.commit({ [`devices/${stranger.device}.crt`]: deviceFile(peter) }, text('x'), { by: peter, email: stranger.device })],
  ['a device certificate that the account has not signed (S1)', /did not certify the device/, (on) => on.commit({ [`devices/${on.impostor.device}.crt`]: deviceFile(on.impostor) }, text('x'), { by: on.impostor })],
  ['written after the certificates have expired', /expired at the time/, (on) => on.commit({}, text('x'), { time: 7_258_118_400 })],
  ['an unknown author', /has no certificate in the conversation/, (on) => on.commit({}, text('x'), { by: stranger })],
  ['an author who is only invited', /is not a member/, (on) => on.commit({ [`devices/${ivan.device}.crt`]: deviceFile(ivan) }, text('x'), { by: ivan })],
  ['an author who is banned', /is not a member/, (on) => on.commit({}, text('x'), { by: bert })],
  ['one more file', /got README.md added/, (on) => on.commit({ 'README.md': 'hello' }, text('x'))],
  ['one more file that is binary (S3)', /got hidden.bin added/, (on) => on.commit({ 'hidden.bin': Buffer.from([0, 1, 2, 0, 255]) }, text('x'))],
  ['a foreign certificate changed', /\.crt replaced/, (on) => on.commit({ [`members/${peter.account}.crt`]: accountFile(ivan) }, text('x'))],
  ['a file that is executable', /mode 100755/, (on) => on.commit({ [`devices/${on.mallory.device}.crt`]: { content: deviceFile(on.mallory), mode: '100755' } }, text('x'))],
  ['a symbolic link', /mode 120000/, (on) => on.commit({ 'profile.vcf': { content: '/etc/passwd', mode: '120000' } }, json({ type: 'application/update-profile' }))],
  ['somebody who is banned is added', /add: of a banned member/, (on) => on.commit({ [`invited/${bert.account}`]: '' }, member('add', bert.account))],
  ['the author adds itself', /add: of oneself/, (on) => on.commit({ [`invited/${on.mallory.account}`]: '' }, member('add', on.mallory.account))],
  ['an invitation with content', /got content, allowed an empty file/, (on) => on.commit({ [`invited/${stranger.account}`]: 'x' }, member('add', stranger.account))],
  ['a join without an invitation', /join: without an invitation/, (on) => on.commit({ [`members/${stranger.account}.crt`]: accountFile(stranger), [`devices/${stranger.device}.crt`]: deviceFile(stranger) }, member('join', stranger.account), { by: stranger })],
  ['a join of somebody else', /join: of somebody else/, (on) => on.commit({ [`invited/${ivan.account}`]: null, [`members/${ivan.account}.crt`]: accountFile(ivan), [`devices/${ivan.device}.crt`]: deviceFile(ivan) }, member('join', ivan.account), { by: peter })],
  ['a join that leaves the invitation', /leaving it behind/, (on) => on.commit({ [`members/${ivan.account}.crt`]: accountFile(ivan), [`devices/${ivan.device}.crt`]: deviceFile(ivan) }, member('join', ivan.account), { by: ivan })],
  ['a vote of a member', /vote: its author is not an admin/, (on) => on.commit({ [`votes/ban/members/${on.kim}/${peter.account}`]: '' }, json({ type: 'vote', uri: on.kim }), { by: peter })],
  ['a vote about oneself', /vote: about oneself/, (on) => on.commit({ [`votes/ban/admins/${on.mallory.account}/${on.mallory.account}`]: '' }, json({ type: 'vote', uri: on.mallory.account }))],
  ['a vote with content', /got content, allowed an empty file/, (on) => on.commit({ [`votes/ban/members/${peter.account}/${on.mallory.account}`]: 'x' }, json({ type: 'vote', uri: peter.account }))],
  ['a ban without a vote', /votes of 0 of 1 admins/, (on) => on.commit({ [`members/${peter.account}.crt`]: null, [`banned/members/${peter.account}.crt`]: accountFile(peter) }, member('ban', peter.account))],
  ['a ban that brings its vote', /ban: got votes\/ban\/.* added/, (on) => on.commit({ [`members/${peter.account}.crt`]: null, [`banned/members/${peter.account}.crt`]: accountFile(peter), [`votes/ban/members/${peter.account}/${on.mallory.account}`]: '' }, member('ban', peter.account))],
  ['a member removes somebody else (S4)', /remove: of somebody else/, (on) => on.commit({ [`members/${on.kim}.crt`]: null }, member('remove', on.kim), { by: peter })],
  ['a profile of a member', /profile: its author is not an admin/, (on) => on.commit({ 'profile.vcf': 'BEGIN:VCARD\nVERSION:2.1\nFN:x\nEND:VCARD' }, json({ type: 'application/update-profile' }), { by: peter })],
  ['a profile and one more file', /got more.txt added/, (on) => on.commit({ 'profile.vcf': 'BEGIN:VCARD\nVERSION:2.1\nFN:x\nEND:VCARD', 'more.txt': 'x' }, json({ type: 'application/update-profile' }))],
  ["an edit of somebody else's text", /edit: of a message of somebody else/, (on) => on.commit({}, json({ type: 'text/plain', body: 'x', edit: on.text }))],
  ['an edit of a call', /edit: of a application\/call-history/, (on) => on.commit({}, json({ type: 'text/plain', body: 'x', edit: on.call }))],
  ['an edit that brings a file (S3)', /got hidden.bin added/, (on) => on.commit({ 'hidden.bin': 'x' }, json({ type: 'text/plain', body: 'x', edit: on.text }), { by: peter })],
  ['a checkpoint, which only documents have', /checkpoint: only in a document/, (on) => on.commit({}, json({ type: 'application/checkpoint', body: '' }))],
  ['an unknown member action', /action "promote"/, (on) => on.commit({}, member('promote', peter.account))],
  ['an account with a scheme before it', /got the uri "jami:/, (on) => on.commit({ [`invited/jami:${stranger.account}`]: '' }, member('add', `jami:${stranger.account}`))],
  ['an empty type', /type: got ""/, (on) => on.commit({}, json({ type: '', body: 'x' }))],
  ['no JSON', /not JSON/, (on) => on.commit({}, 'this is no JSON')],
  ['a line of the message that looks like a signature (S13)', /no signature header/, (on) => on.commit({}, `signature AAAA\n${text('x')}`, { signed: 'nobody' })],
  ['NUL in the message (S12)', /NUL byte/, (on) => on.commit({}, `${text('x')}\0`)],
  ['a merge with a third content', /content of neither parent/, (on) => {
    const [ours, theirs] = ['a', 'b'].map((body) => on.commit({}, text(body)))
    return on.commit({ 'profile.vcf': 'third' }, `Merge commit '${theirs}'`, { parents: [ours ?? '', theirs ?? ''] })
  }],
  ['a merge of three', /more than two parents/, (on) => {
    const parents = ['a', 'b', 'c'].map((body) => on.commit({}, text(body)))
    return on.commit({}, `Merge commit '${parents[1]}'`, { parents })
  }],
  ['a second root', /a second root/, (on) => {
    const root = on.forge.commit({ parents: [], tree: on.tree, message: json({ type: 'initial', mode: 2 }), by: on.mallory, time: on.time })
    return on.commit({}, `Merge commit '${root}'`, { parents: [on.head, root] })
  }],
]

/** Refused when they are cloned: nothing was here before. */
const CLONES: readonly (readonly [title: string, reason: RegExp, make: (forge: Forge, mallory: Who, kim: string, time: number) => string])[] = [
  ['an initial commit that is not signed (S2)', /no signature header/, (forge, mallory, kim, time) => initial(forge, mallory, kim, time, { signed: 'nobody' })],
  ['an unknown mode', /got mode 7/, (forge, mallory, kim, time) => initial(forge, mallory, kim, time, {}, 7)],
  ['one more file in the initial commit', /got more.txt added/, (forge, mallory, kim, time) => initial(forge, mallory, kim, time, {}, 2, { 'more.txt': 'x' })],
]

function initial(forge: Forge, by: Who, kim: string, time: number, more: Partial<Forged> = {}, mode = 2, files: Record<string, string> = {}): string {
  const tree = forge.tree(new Map(), { [`admins/${by.account}.crt`]: accountFile(by), [`devices/${by.device}.crt`]: deviceFile(by), ...files })
  const root = forge.commit({ parents: [], tree, message: json({ type: 'initial', mode }), by, time, ...more })
  const head = forge.commit({ parents: [root], tree: forge.tree(tree, { [`invited/${kim}`]: '' }), message: member('add', kim), by, time: time + 1 })
  forge.main(head)
  return root
}

/** An honest life before: Peter joined and wrote, Ivan is invited, Bert was banned; Kim is invited last. */
function prefix(forge: Forge, mallory: Who, kim: string, begin: number): { root: string; text: string; call: string } {
  let time = begin
  let tree = forge.tree(new Map(), { [`admins/${mallory.account}.crt`]: accountFile(mallory), [`devices/${mallory.device}.crt`]: deviceFile(mallory) })
  const root = forge.commit({ parents: [], tree, message: json({ type: 'initial', mode: 2 }), by: mallory, time })
  let head = root
  const then = (change: Parameters<Forge['tree']>[1], message: string, by: Who) => {
    tree = forge.tree(tree, change)
    head = forge.commit({ parents: [head], tree, message, by, time: ++time })
    return head
  }
  for (const guest of [peter, bert]) {
    then({ [`invited/${guest.account}`]: '' }, member('add', guest.account), mallory)
    then({ [`invited/${guest.account}`]: null, [`members/${guest.account}.crt`]: accountFile(guest), [`devices/${guest.device}.crt`]: deviceFile(guest) }, member('join', guest.account), guest)
  }
  then({ [`invited/${ivan.account}`]: '' }, member('add', ivan.account), mallory)
  const vote = `votes/ban/members/${bert.account}/${mallory.account}`
  then({ [vote]: '' }, json({ type: 'vote', uri: bert.account }), mallory)
  then({ [vote]: null, [`members/${bert.account}.crt`]: null, [`banned/members/${bert.account}.crt`]: accountFile(bert) }, member('ban', bert.account), mallory)
  const said = then({}, text('a text of Peter'), peter)
  const call = then({}, json({ type: 'application/call-history+json', to: peter.account, duration: '1' }), mallory)
  then({ [`invited/${kim}`]: '' }, member('add', kim), mallory)
  forge.main(head)
  return { root, text: said, call }
}

function fetchInto(stage: Stage, repository: string, port: number, conversation: string): Promise<void> {
  const [command, ...args] = stage.net.inside(2, 'git', '-c', 'safe.directory=*', `--git-dir=${repository}`, 'fetch', '-q', `git://127.0.0.1:${port}/${conversation}`, 'main:main')
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let words = ''
    child.stderr.on('data', (chunk: Buffer) => (words += chunk.toString()))
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`git fetch: ${words}`))))
  })
}

interface Problem {
  readonly code: string
  readonly message: string
}

async function problemOf(kim: Sdk, conversation: string, timeoutMs: number): Promise<Problem> {
  const { args } = await kim.wait('problem', (a) => a[0] === conversation, { timeoutMs })
  return { code: String(args[1]), message: String(args[2]) }
}

export const malicious: Scenario = {
  name: 'malicious',
  about: `a hostile admin serves ${CASES.length - 1} kinds of forged commits and ${CLONES.length} forged conversations with Debian's git: each refused with its reason, HEAD untouched`,
  hosts: 3,
  budgetMs: { ci: 300_000, full: 400_000 },
  needs: ['opendht'],
  async run(stage) {
    const [mallorysNode, kim] = await stage.step('a DHT, a node whose git server serves what it is told, and one of ours are up, and contacts', async () => {
      const bootstrap = await stage.bootstrapNode()
      const both = await Promise.all([stage.sdk('mallory', 2, { ...sdkStart(bootstrap, 'mallory'), rawGit: true }), stage.sdk('kim', 3, sdkStart(bootstrap, 'kim'))])
      await befriend(both[0], both[1])
      return both
    })
    const { accountId, deviceId, key, chain } = (await mallorysNode.call('git.identity')) as { accountId: string; deviceId: string; key: string; chain: string[] }
    const mallory: Who = { account: accountId, device: deviceId, key, chain }
    const peters = testIdentity(1, 1).device
    const impostor: Who = { ...person(1, 1), chain: parseChain(chainToPem(await forgeChain(peters.chain))).map((certificate) => certificate.pem) }
    const served = join(stage.dir, 'served')
    mkdirSync(served, { recursive: true })
    let made = 0
    const begin = Math.floor(Date.now() / 1000) - 100_000

    const invite = async (forge: Forge, root: string) => {
      renameSync(forge.repository, join(served, root))
      await mallorysNode.call('git.serve', root, served)
      await mallorysNode.call('git.invite', kim.uri, root, 2)
      await kim.invited(root)
      await kim.acceptInvitation(root)
    }
    for (const [title, rule, make] of CASES) {
      await stage.step(rule === 'taken' ? title : `SWM-12 SWM-13 ${title}: refused, HEAD untouched`, async () => {
        const time = begin + 100 * made++
        const first = Forge.create(join(served, `new-${made}`))
        const { root, text: said, call } = prefix(first, mallory, kim.uri, time)
        await invite(first, root)
        await kim.entry(root, (entry) => entry.own && entry.fields.action === 'join', { timeoutMs: 20_000 })
        const forge = new Forge(join(served, root))
        await fetchInto(stage, forge.repository, Number(await mallorysNode.call('git.bridge', kim.deviceId, root)), root)
        const head = forge.head
        must(head === (await kim.head(root)), 'Kim has something else than she serves')
        const now = Math.floor(Date.now() / 1000)
        const tree = forge.treeOf(head)
        const bad = make({
          forge, mallory, kim: kim.uri, head, tree, text: said, call, time: now, impostor,
          commit: (change, message, more = {}) => forge.commit({ parents: [head], tree: forge.tree(tree, change), message, by: mallory, time: now, ...more }),
        })
        forge.main(bad)
        await mallorysNode.call('git.notify', kim.uri, root, bad)
        if (rule === 'taken') {
          await kim.entry(root, ({ id }) => id === bad, { timeoutMs: 10_000 })
          return
        }
        const problem = await problemOf(kim, root, 10_000)
        must(problem.code === 'ERR_REPO_INVALID' && rule.test(problem.message), `refused as: ${problem.code}: ${problem.message}`)
        must((await kim.head(root)) === head, 'HEAD has moved')
        must(!(await kim.views(root)).some(({ id }) => id === bad), 'it is shown')
      })
    }
    await stage.step(`SWM-12 SWM-13 forged conversations (${CLONES.map(([title]) => title).join('; ')}): tried three times, refused with the reason, nothing is cloned`, async () => {
      const roots: (readonly [string, RegExp, string])[] = []
      for (const [title, reason, make] of CLONES) {
        const forge = Forge.create(join(served, `new-${++made}`))
        const root = make(forge, mallory, kim.uri, begin + 100 * made)
        await invite(forge, root)
        roots.push([title, reason, root])
      }
      for (const [title, reason, root] of roots) {
        const problem = await problemOf(kim, root, 55_000)
        must(problem.code === 'ERR_REPO_INVALID' && reason.test(problem.message), `${title}: ${problem.code}: ${problem.message}`)
        must((await kim.views(root).catch(() => [])).length === 0, `${title}: something is here`)
      }
    })
    await stage.step('after all that, an ordinary 1:1 with Mallory still works, and the node ends by itself', async () => {
      const id = String(await kim.call('conversationWith', mallory.account))
      await mallorysNode.send(id, 'no hard feelings')
      await kim.heard(id, 'no hard feelings')
      await kim.stop()
    })
  },
}
