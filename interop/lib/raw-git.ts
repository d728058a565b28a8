// A node of ours whose git channels are open to scenarios: what it serves can come from Debian's git, from a prepared repository, or from itself;
// and stock git in its namespace can speak to the server of any other device. All else about it is an ordinary node. Calls `git.*` of
// interop/sdk-peer.ts.
import { spawn } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AccountUri, Channel, ChannelHandler, ConnectionManager, ConversationId, Conversations, ConversationsModule, DeviceId } from '@jamikit/core/contracts'

export interface RawGit {
  readonly conversations: ConversationsModule
  readonly calls: Readonly<Record<string, (...args: never[]) => unknown>>
  stop(): void
}

type Env = Parameters<ConversationsModule>[0]
/** Gives the folder that holds `<conversation>` as a bare repository, as it shall be now. */
type Source = () => Promise<string>

export function rawGit(real: ConversationsModule, signal: (name: string, ...args: unknown[]) => void): RawGit {
  const sources = new Map<string, Source>()
  const servers = new Set<Server>()
  let captured: Env | undefined
  let conversations: Conversations | undefined
  const theEnv = (): Env => {
    if (captured === undefined) throw new Error('no account')
    return captured
  }
  const conversationOf = (name: string) => name.slice(-40)

  const connectionsOf = (manager: ConnectionManager): ConnectionManager => ({
    openChannel: (device, name, options) => manager.openChannel(device, name, options),
    handle: (scheme, handler) => manager.handle(scheme, scheme === 'git' ? instead(handler) : handler),
    links: () => manager.links(),
    get onLink() {
      return manager.onLink
    },
    closePeer: (peer, reason) => manager.closePeer(peer, reason),
    connectivityChanged: () => manager.connectivityChanged(),
    start: () => manager.start(),
    stop: () => manager.stop(),
  })

  /** Conversations with a source of their own are answered by Debian's git, all others by the node. */
  const instead = (handler: ChannelHandler): ChannelHandler => ({
    accept: (name, peer) => sources.has(conversationOf(name)) || handler.accept(name, peer),
    limit: (name) => handler.limit?.(name),
    open: (channel) => {
      const source = sources.get(conversationOf(channel.name))
      if (source === undefined) return handler.open(channel)
      signal('git', conversationOf(channel.name), channel.remote.accountId, 'opened')
      void stockServer(channel, source).catch((error: unknown) => channel.abort(error as Error))
    },
  })

  /** Any number of sessions on one channel: each begins with a request line and is a process of its own. */
  const stockServer = async (channel: Channel, source: Source) => {
    let child: ReturnType<typeof start> | undefined
    const start = (base: string) => {
      const process = spawn('git', ['daemon', '--inetd', '--export-all', `--base-path=${base}`, base], { stdio: ['pipe', 'pipe', 'ignore'] })
      let writing = Promise.resolve()
      process.stdin.on('error', () => {})
      process.stdout.on('data', (chunk: Buffer) => {
        writing = writing.then(() => channel.write(chunk)).catch(() => {})
      })
      process.once('close', (code) => {
        if (child === process) child = undefined
        signal('git', conversationOf(channel.name), channel.remote.accountId, 'served', code)
      })
      return process
    }
    for await (const bytes of channel) {
      // what follows a session is its closing flush
      if (child === undefined && Buffer.from(bytes).toString('latin1').includes('git-upload-pack')) child = start(await source())
      child?.stdin.write(bytes)
    }
    child?.kill()
  }

  const calls = {
    /** The exported repository of one of our conversations is what Debian's git serves from now on, as it is at each session. */
    'git.serveOwn': (conversation: string) => {
      const base = join(tmpdir(), `jamikit-served-${process.pid}`)
      mkdirSync(base, { recursive: true })
      let made: Promise<unknown> = Promise.resolve()
      sources.set(conversation, async () => {
        const folder = join(base, conversation)
        made = made.then(async () => {
          rmSync(folder, { recursive: true, force: true })
          await conversations?.exportTo(conversation as ConversationId, folder)
        })
        await made
        return base
      })
    },
    /** A folder that holds `<conversation>` as a bare repository. */
    'git.serve': (conversation: string, base: string) => void sources.set(conversation, async () => base),
    'git.serveNormally': (conversation: string) => void sources.delete(conversation),
    /** A TCP port in this namespace behind which stock git finds the git server of that device. */
    'git.bridge': async (device: string, conversation: string) => {
      const server = createServer((socket) => {
        socket.on('error', () => {})
        void (async () => {
          const channel = await theEnv().connections.openChannel(device as DeviceId, `git://${device}/${conversation}`, { timeoutMs: 20_000 })
          socket.on('data', (chunk: Buffer) => void channel.write(chunk).catch(() => socket.destroy()))
          socket.once('close', () => void channel.close())
          for await (const bytes of channel) socket.write(bytes)
          socket.end()
        })().catch(() => socket.destroy())
      })
      servers.add(server)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return (server.address() as { port: number }).port
    },
    /** Who this device is, its key included: for those who forge. */
    'git.identity': () => {
      const { identity } = theEnv()
      return { accountId: identity.accountId, deviceId: identity.deviceId, key: identity.privateKey.pem, chain: identity.chain.map((certificate) => certificate.pem) }
    },
    /** Tells an account or a device that a commit is here. */
    'git.notify': (to: string, conversation: string, commit: string) => {
      const { messages, identity } = theEnv()
      return messages.send(to as AccountUri, { mime: 'application/im-gitmessage-id', body: JSON.stringify({ commit, deviceId: identity.deviceId, id: conversation }) })
    },
    'git.invite': (to: string, conversation: string, mode: number) => {
      const now = Date.now()
      const body = JSON.stringify({ conversationId: conversation, metadatas: { mode: String(mode) }, received: Math.floor(now / 1000), receivedMs: now })
      return theEnv().messages.send(to as AccountUri, { mime: 'application/invite+json', body })
    },
  }

  return {
    calls,
    conversations: (env) => {
      captured = env
      conversations = real({ ...env, connections: connectionsOf(env.connections) })
      return conversations
    },
    stop: () => {
      for (const server of servers) server.close()
      rmSync(join(tmpdir(), `jamikit-served-${process.pid}`), { recursive: true, force: true })
    },
  }
}
