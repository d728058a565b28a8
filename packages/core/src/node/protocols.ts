// SDK protocols of an account: who may open a channel, how many at a time (the connections count), and whose function gets it. docs/protocol/02 §4.4.
// Proof: node/protocols.test.ts.
import { checkArgument, checkOptions, is } from '../base/arguments.ts'
import { argumentError, JamiError } from '../base/errors.ts'
import type { Channel as WireChannel } from '../contracts/channel.ts'
import type { ConnectionManager } from '../contracts/connection-manager.ts'
import type { PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import type { Channel, Channels } from './api.ts'
import { channelStream, PROTOCOL_SCHEME, protocolOf } from './channel-stream.ts'
import { PROTOCOL } from './limits.ts'

export const MAX_CHANNELS_PER_PEER = 16
const OPTIONS = { allow: is.either(is.oneOf('contacts', 'own-devices'), is.function), maxPerPeer: is.whole(1, 65_535) }

interface ProtocolHandler {
  readonly fn: (channel: Channel) => unknown
  readonly allow: 'contacts' | 'own-devices' | ((peer: { uri: AccountUri; device: DeviceId }) => boolean | Promise<boolean>)
  readonly maxPerPeer: number
}

export interface ProtocolsEnv {
  readonly connections: Pick<ConnectionManager, 'handle'>
  readonly ownUri: AccountUri
  readonly isContact: (uri: AccountUri) => boolean
  readonly onError: (error: unknown, source: string) => void
}

export class Protocols implements Channels {
  readonly #env: ProtocolsEnv
  readonly #handlers = new Map<string, ProtocolHandler>() // bounded by the program's registrations

  constructor(env: ProtocolsEnv) {
    this.#env = env
    env.connections.handle(PROTOCOL_SCHEME, { accept: (name, peer) => this.#accepts(name, peer), limit: (name) => this.#limit(name), open: (channel) => this.#serve(channel) })
  }

  handle(protocol: string, fn: (channel: Channel) => unknown, options: Parameters<Channels['handle']>[2] = {}): () => void {
    checkArgument('protocol', protocol, PROTOCOL)
    checkArgument('fn', fn, is.function)
    checkOptions(options, OPTIONS)
    if (this.#handlers.has(protocol)) throw argumentError('protocol', `${protocol}, which has a handler already`, 'one handler a protocol')
    const handler: ProtocolHandler = { fn, allow: options.allow ?? 'contacts', maxPerPeer: options.maxPerPeer ?? MAX_CHANNELS_PER_PEER }
    this.#handlers.set(protocol, handler)
    return () => {
      if (this.#handlers.get(protocol) === handler) this.#handlers.delete(protocol)
    }
  }

  #accepts(name: string, peer: PeerIdentity): boolean | Promise<boolean> {
    const handler = this.#handlers.get(protocolOf(name))
    return handler !== undefined && this.#allows(handler, peer)
  }

  /** Counted by the connections, from the request on: a channel that `allow` has not decided on holds its place. */
  #limit(name: string): { of: string; max: number } | undefined {
    const protocol = protocolOf(name)
    const handler = this.#handlers.get(protocol)
    return handler && { of: protocol, max: handler.maxPerPeer }
  }

  #allows({ allow }: ProtocolHandler, peer: PeerIdentity): boolean | Promise<boolean> {
    const own = peer.accountId === this.#env.ownUri
    if (allow === 'own-devices') return own
    if (allow === 'contacts') return own || this.#env.isContact(peer.accountId)
    return allow({ uri: peer.accountId, device: peer.deviceId })
  }

  #serve(channel: WireChannel): void {
    const handler = this.#handlers.get(protocolOf(channel.name))
    if (!handler) return channel.abort(new JamiError('ERR_CHANNEL_DECLINED', 'the protocol has no handler any more', { details: { protocol: protocolOf(channel.name) } }))
    const stream = channelStream(channel)
    stream.on('error', (error) => this.#env.onError(error, `channel ${channel.name}`))
    void (async () => {
      try {
        await handler.fn(stream)
      } catch (error) {
        stream.destroy()
        this.#env.onError(JamiError.from(error, 'ERR_LISTENER'), `protocol ${protocolOf(channel.name)}`)
      }
    })()
  }
}
