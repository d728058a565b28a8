// A node of ours as a person of a bench: the built packages under plain node (bench/built.ts), as users run them.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { LoopDelay } from '../interop/lib/loop-watch.ts'
import type { Namespaces } from '../interop/lib/namespaces.ts'
import { Sdk, type SdkEntry, type SdkMessage, type SdkStart } from '../interop/lib/sdk.ts'
import { built } from './built.ts'
import { allTexts, fail, type Person, type TextOf, WRITE_MS } from './person.ts'

/** For profiles: `--cpu-prof --cpu-prof-dir=…`. */
const nodeFlags = process.env.BENCH_NODE_FLAGS?.split(' ') ?? []

export function sdkPerson(net: Namespaces, bootstrap: string, host: number, dir: string, options: Partial<SdkStart>): Person {
  let running: Sdk | undefined
  let uri = ''
  const sdk = () => running ?? fail(`sdk${host} is stopped`)
  const textOf = (conversation: string): TextOf => ({ signal, args }) => (signal === 'message' && Array.isArray(args) && args[0] === conversation ? (args[1] as SdkMessage).text : undefined)
  return {
    kind: 'sdk',
    dir,
    host,
    get uri() {
      return uri
    },
    get pid() {
      return sdk().child.pid
    },
    mark: () => sdk().mark(),
    ask: (to) => sdk().addContact(to),
    asked: (from, since) => sdk().request(from, since),
    accept: (from) => sdk().call('accept', from, WRITE_MS),
    ready: (conversation, since) => sdk().ready(conversation, since),
    joined: (conversation, member, since) => sdk().joined(conversation, member, since),
    send: (conversation, text) => sdk().send(conversation, text),
    heard: (conversation, text, since) => sdk().heard(conversation, text, since),
    echoed: () => Promise.resolve(), // send() resolves when it is committed
    write: async (conversation, prefix, count, how) => {
      if (how === 'at once') await sdk().call('sendAtOnce', conversation, prefix, count)
      // in pieces: each is one request, which may not take for ever
      else for (let n = 0; n < count; n += 1000) await sdk().call('sendMany', conversation, prefix, n, Math.min(1000, count - n))
    },
    heardAll: (conversation, prefix, count, since) => allTexts(sdk().child, textOf(conversation), prefix, count, since),
    has: (conversation, prefix) => {
      const text = textOf(conversation)
      return new Set(sdk().child.events.map(({ line }) => text(line)).filter((body) => body?.startsWith(prefix))).size
    },
    merges: (conversation) => sdk().child.events.filter(({ line: { signal, args } }) => signal === 'entry' && Array.isArray(args) && args[0] === conversation && (args[1] as SdkEntry).type === 'merge').length,
    head: async (conversation) => String(await sdk().call('head', conversation)),
    repository: (conversation) => folderOf(join(dir, 'profile', 'files'), conversation) ?? fail(`sdk${host}: no folder of ${conversation}`),
    startGroup: () => sdk().startGroup(),
    invite: (conversation, to) => sdk().invite(conversation, to),
    invited: (conversation, since) => sdk().invited(conversation, since),
    acceptInvitation: (conversation) => sdk().acceptInvitation(conversation),
    offer: (conversation, path, name) => sdk().sendFile(conversation, path, name),
    offered: async (conversation, name, since) => {
      const { args, atMs } = await sdk().wait('entry', (of) => of[0] === conversation && (of[1] as SdkEntry).fields.displayName === name, since)
      return { message: (args[1] as SdkEntry).id, fileId: '', atMs }
    },
    fetch: (conversation, { message }, target, timeoutMs) => {
      const since = sdk().mark()
      const over = sdk().download(conversation, message, target, timeoutMs)
      const ended = sdk().wait('transfer', (of) => of[1] === message && of[2] === 'receive' && of[3] !== 'active', { since, timeoutMs })
      const done = ended.then(({ args, atMs }) => {
        if (args[3] !== 'done') throw new Error(`sdk${host}: the transfer ended: ${String(args[6])}`)
        return { atMs }
      })
      return { done, over }
    },
    search: async (conversation, word) => ((await sdk().call('search', conversation, word)) as unknown[]).length,
    loopDelay: async () => (await sdk().call('loopDelay')) as LoopDelay & NodeJS.MemoryUsage,
    stop: async () => {
      await running?.stop()
      running = undefined
    },
    start: async () => {
      running = new Sdk({ label: `sdk${host}`, dir, argv: net.inside(host, process.execPath, ...nodeFlags, built('sdk-peer')), env: { JAMIKIT_LOG: 'warn', TSX_TSCONFIG_PATH: '' } })
      await running.start({ bootstrap: [bootstrap], storage: join(dir, 'profile'), account: 'main', displayName: `Kit ${host}`, ...options })
      uri = running.uri
    },
  }
}

/** A conversation's folder, sealed or not. */
function folderOf(dir: string, name: string): string | undefined {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const found = entry.name === name ? join(dir, name) : folderOf(join(dir, entry.name), name)
    if (found !== undefined) return found
  }
  return undefined
}
