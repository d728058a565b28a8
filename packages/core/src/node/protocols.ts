// SDK protocols of an account: who may open a channel, how many at a time, and whose function gets it. docs/protocol/02 §4.4.
// Proof: node/protocols.test.ts.
import { checkArgument, checkOptions, is } from '../base/arguments.ts'
import { argumentError, JamiError, limitError } from '../base/errors.ts'
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
  /** Channels per device that are open; bounded by the links. */
  readonly open: Map<DeviceId, number>
  /** Those about which `allow` has not decided yet: they hold their place. */
  readonly asking: Map<DeviceId, number>
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
    env.connections.handle(PROTOCOL_SCHEME, { accept: (name, peer) => this.#accepts(name, peer), open: (channel) => this.#serve(channel) })
  }

  handle(protocol: string, fn: (channel: Channel) => unknown, options: Parameters<Channels['handle']>[2] = {}): () => void {
    checkArgument('protocol', protocol, PROTOCOL)
    checkArgument('fn', fn, is.function)
    checkOptions(options, OPTIONS)
    if (this.#handlers.has(protocol)) throw argumentError('protocol', `${protocol}, which has a handler already`, 'one handler a protocol')
    const handler: ProtocolHandler = { fn, allow: options.allow ?? 'contacts', maxPerPeer: options.maxPerPeer ?? MAX_CHANNELS_PER_PEER, open: new Map(), asking: new Map() }
    this.#handlers.set(protocol, handler)
    return () => {
      if (this.#handlers.get(protocol) === handler) this.#handlers.delete(protocol)
    }
  }

  async #accepts(name: string, peer: PeerIdentity): Promise<boolean> {
    const handler = this.#handlers.get(protocolOf(name))
    const device = peer.deviceId
    if (!handler || count(handler.open, device) + count(handler.asking, device) >= handler.maxPerPeer) return false
    change(handler.asking, device, 1)
    try {
      return await this.#allows(handler, peer)
    } finally {
      change(handler.asking, device, -1)
    }
  }

  #allows({ allow }: ProtocolHandler, peer: PeerIdentity): boolean | Promise<boolean> {
    const own = peer.accountId === this.#env.ownUri
    if (allow === 'own-devices') return own
    if (allow === 'contacts') return own || this.#env.isContact(peer.accountId)
    return allow({ uri: peer.accountId, device: peer.deviceId })
  }

  #serve(channel: WireChannel): void {
    const handler = this.#handlers.get(protocolOf(channel.name))
    const device = channel.remote.deviceId
    if (!handler) return channel.abort(new JamiError('ERR_CHANNEL_DECLINED', 'the protocol has no handler any more', { details: { protocol: protocolOf(channel.name) } }))
    // between the answer and now others may have come
    if (count(handler.open, device) >= handler.maxPerPeer) return channel.abort(limitError(`channels of ${protocolOf(channel.name)} with device ${device}`, handler.maxPerPeer + 1, handler.maxPerPeer))
    change(handler.open, device, 1)
    void channel.closed.then(() => change(handler.open, device, -1))
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

const count = (map: ReadonlyMap<DeviceId, number>, device: DeviceId) => map.get(device) ?? 0

function change(map: Map<DeviceId, number>, device: DeviceId, by: number): void {
  const now = count(map, device) + by
  if (now > 0) map.set(device, now)
  else map.delete(device)
}
