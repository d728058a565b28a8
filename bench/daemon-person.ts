// The real daemon as a person of a bench. It does not show every message of a merge: what it has is judged by its repository.
import { Daemon, TRANSFER } from '../interop/lib/daemon.ts'
import { bodies, head } from '../interop/lib/git.ts'
import { type Namespaces, run } from '../interop/lib/namespaces.ts'
import { allTexts, fail, type Person, type TextOf, WRITE_MS } from './person.ts'

export function daemonPerson(net: Namespaces, bootstrap: string, host: number, dir: string): Person {
  let running: Daemon | undefined
  let uri = ''
  const daemon = () => running ?? fail(`daemon${host} is stopped`)
  const textOf = (conversation: string): TextOf => ({ signal, args }) => {
    if (signal !== 'SwarmMessageReceived' || !Array.isArray(args) || args[1] !== conversation) return undefined
    const text = (args[2] as { body?: { body?: unknown } } | undefined)?.body?.body
    return typeof text === 'string' ? text : undefined
  }
  const person: Person = {
    kind: 'daemon',
    dir,
    host,
    get uri() {
      return uri
    },
    get pid() {
      return daemon().child.pid
    },
    mark: () => daemon().mark(),
    ask: (to) => daemon().sendRequest(to, `Daemon ${host}`),
    asked: (from, options) => daemon().request(from, options),
    accept: (from) => daemon().accept(from),
    ready: (conversation, options) => daemon().ready(conversation, options),
    joined: (conversation, member, options) => daemon().joined(conversation, member, options),
    send: (conversation, text) => daemon().send(conversation, text),
    heard: (conversation, text, options) => daemon().heard(conversation, text, options),
    echoed: (conversation, text, options) => daemon().heard(conversation, text, options),
    write: async (conversation, prefix, count, how) => {
      const since = daemon().mark()
      const all = person.heardAll(conversation, prefix, count, { since, timeoutMs: WRITE_MS })
      for (let n = 0; n < count; n++) {
        const echo = daemon().mark()
        const sent = daemon().send(conversation, `${prefix}${n}`)
        if (how === 'in turn') await daemon().heard(conversation, `${prefix}${n}`, { since: echo })
        else void sent.catch(() => {})
      }
      await all
    },
    heardAll: (conversation, prefix, count, options) => allTexts(daemon().child, textOf(conversation), prefix, count, options),
    has: (conversation, prefix) => new Set(bodies(daemon().repository(conversation)).filter((body) => body.startsWith(prefix))).size,
    merges: (conversation) => Number(run(['git', '-c', 'safe.directory=*', '-C', daemon().repository(conversation), 'rev-list', '--merges', '--count', 'main'])),
    head: async (conversation) => head(daemon().repository(conversation)),
    repository: (conversation) => daemon().repository(conversation),
    startGroup: () => daemon().startGroup(),
    invite: (conversation, to) => daemon().invite(conversation, to),
    invited: (conversation, options) => daemon().invited(conversation, options),
    acceptInvitation: (conversation) => daemon().acceptInvitation(conversation),
    offer: (conversation, path, name) => daemon().call('sendFile', daemon().account, conversation, path, name, ''),
    offered: async (conversation, name, options) => {
      const { args, atMs } = await daemon().wait('SwarmMessageReceived', ([account, id, message]) => {
        const body = (message as { body?: Record<string, unknown> } | undefined)?.body
        return account === daemon().account && id === conversation && body?.displayName === name
      }, options)
      const { id = '', body } = args[2] as { id?: string; body?: Record<string, string> }
      return { message: id, fileId: body?.fileId ?? '', atMs }
    },
    fetch: (conversation, { message, fileId }, target, timeoutMs) => {
      const since = daemon().mark()
      const asked = daemon().downloadFile(conversation, message, fileId, target)
      const done = asked.then(() => daemon().wait('DataTransferEvent', (args) => args[3] === fileId && Number(args[4]) >= TRANSFER.finished, { since, timeoutMs })).then(({ args, atMs }) => {
        if (args[4] !== TRANSFER.finished) throw new Error(`daemon${host}: the transfer ended with code ${String(args[4])}`)
        return { atMs }
      })
      return { done, over: done }
    },
    search: async (conversation, word) => {
      await daemon().call('searchConversation', daemon().account, conversation, '', '', word, '', 0, 0, 0, 0)
      return undefined
    },
    stop: async () => {
      await running?.stop()
      running = undefined
    },
    start: async () => {
      running = await Daemon.start({ label: `daemon${host}`, netns: net.name(host), dir, env: { JAMI_PEER_HOSTS: `${net.v4(1)} bootstrap.sfl.io bootstrap.jami.net` } })
      if (uri === '') await running.addAccount({ bootstrap, name: `Daemon ${host}` }, 180_000)
      else await running.resume(180_000)
      uri = running.uri
    },
  }
  return person
}
