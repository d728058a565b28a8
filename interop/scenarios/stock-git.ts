// Debian's git and our git in both roles, over real links: git clones and fetches from our server, our node clones and fetches from git's.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { commits, fsck } from '../lib/git.ts'
import { eventually, must, type Scenario, type Stage } from '../lib/scenario.ts'
import type { Sdk, SdkStart } from '../lib/sdk.ts'

/** Stock git in a host; its words when it fails. */
function git(stage: Stage, host: number, cwd: string, ...args: string[]): Promise<string> {
  const [command, ...rest] = stage.net.inside(host, 'git', ...args)
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, HOME: cwd, GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0' } })
    let [out, words] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (words += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) => (code === 0 ? resolve(out.trim()) : reject(new Error(`git ${args.join(' ')}: ${code}: ${words}`))))
  })
}

async function befriend(from: Sdk, to: Sdk): Promise<string> {
  const conversation = await from.addContact(to.uri)
  await to.request(from.uri)
  await to.accept(from.uri)
  await from.joined(conversation, to.uri)
  return conversation
}

const sameHead = (one: Sdk, other: Sdk, conversation: string) =>
  eventually('one head', async () => {
    const [a, b] = await Promise.all([one.head(conversation), other.head(conversation)])
    return a !== '' && a === b && a
  })

export const stockGit: Scenario = {
  name: 'stock-git',
  about: "git clone and git fetch of Debian's git against our server, in each protocol version, and our client against git's server, histories of 300 messages (full: 3,000)",
  hosts: 4,
  budgetMs: { ci: 120_000, full: 400_000 },
  needs: ['opendht'],
  async run(stage) {
    const count = stage.full ? 3000 : 300
    const bootstrap = await stage.step('a DHT is up', () => stage.bootstrapNode())
    const start = (name: string, more: Partial<SdkStart> = {}): SdkStart => ({ bootstrap: [bootstrap], account: 'main', displayName: name, keyBits: 2048, ...more })
    const [alice, bob, carol] = await stage.step('three of our nodes are up, the git channels of one of them open to stock git', () =>
      Promise.all([stage.sdk('alice', 2, start('Alice')), stage.sdk('bob', 3, start('Bob', { rawGit: true })), stage.sdk('carol', 4, start('Carol'))]))
    const conversation = await stage.step(`Alice and Bob share a conversation of ${count} messages`, async () => {
      const id = await befriend(alice, bob)
      await alice.call('sendMany', id, 'm', 0, count)
      await sameHead(alice, bob, id)
      return id
    }, { timeoutMs: stage.full ? 200_000 : 60_000 })

    const port = Number(await bob.call('git.bridge', alice.deviceId, conversation))
    const url = `git://127.0.0.1:${port}/${conversation}`
    const headOf = (copy: string) => git(stage, 3, copy, 'rev-parse', 'main') // git packs the refs of a clone
    const all = async () => commits(await alice.export(conversation, `all-${performance.now()}`))
    for (const version of ['0', '1', '2']) {
      await stage.step(`SWM-15 git clones from our server over a link (protocol version ${version} asked for): every commit, git fsck --strict`, async () => {
        const copy = join(bob.dir, `clone-${version}`)
        await git(stage, 3, bob.dir, '-c', `protocol.version=${version}`, 'clone', '-q', '--bare', url, copy)
        fsck(copy)
        must((await headOf(copy)) === (await alice.head(conversation)), 'another head')
        must(commits(copy).join() === (await all()).join(), 'other commits')
      })
    }
    await stage.step('SWM-15 git fetches what is new since, also after both sides wrote', async () => {
      const copy = join(bob.dir, 'clone-0')
      for (const [from, text] of [[alice, 'new 1'], [bob, 'new 2'], [alice, 'new 3']] as const) await from.send(conversation, text)
      const now = await sameHead(alice, bob, conversation)
      await git(stage, 3, copy, 'fetch', '-q', url, 'main:main')
      must((await headOf(copy)) === now, 'another head')
      must(commits(copy).join() === (await all()).join(), 'other commits')
      fsck(copy)
    })

    const other = await stage.step("SWM-15 our node clones from git's own server, joins, and its join is fetched", async () => {
      const id = await bob.addContact(carol.uri)
      await bob.call('sendMany', id, 'early', 0, 40)
      await bob.call('git.serveOwn', id)
      await carol.request(bob.uri)
      await carol.accept(bob.uri)
      await bob.joined(id, carol.uri)
      await bob.wait('git', (args) => args[0] === id && args[1] === carol.uri && args[2] === 'served' && args[3] === 0, { timeoutMs: 1000 })
      must((await carol.texts(id)).length === 40, 'texts are missing')
      return id
    })
    await stage.step("SWM-15 our node fetches from git's own server, session after session", async () => {
      for (let i = 0; i < 5; i++) {
        await bob.send(other, `later ${i}`)
        await carol.heard(other, `later ${i}`)
        await carol.send(other, `answer ${i}`)
        await bob.heard(other, `answer ${i}`)
      }
      await sameHead(bob, carol, other)
      const copy = await carol.export(other, 'judged')
      fsck(copy)
      must(commits(copy).join() === commits(await bob.export(other, 'judged')).join(), 'other commits')
    })
  },
}
