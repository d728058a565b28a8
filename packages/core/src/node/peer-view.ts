// A peer as seen by one of our accounts: its devices, and channels to the first of them that takes one.
// docs/protocol/02 §4.4. Proof: node/jami-node.test.ts.
import { checkArgument, checkOptions, OP } from '../base/arguments.ts'
import { JamiError } from '../base/errors.ts'
import { abortError } from '../base/operation.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'
import type { Channel, Peer } from './api.ts'
import { channelName, channelStream } from './channel-stream.ts'
import { PROTOCOL } from './limits.ts'
import type { PublicAccount } from './public-account.ts'
import { DEVICE_ID, parseDeviceId } from './public-ids.ts'

const OPEN = { ...OP, device: DEVICE_ID }

export class PeerView implements Peer {
  readonly uri: AccountUri
  readonly #account: PublicAccount
  readonly #device: DeviceId | undefined

  constructor(account: PublicAccount, uri: AccountUri, device: DeviceId | undefined) {
    this.#account = account
    this.uri = uri
    this.#device = device
  }

  async devices(op?: Op): Promise<DeviceId[]> {
    checkOptions(op, OP)
    return this.#account.within(op, 'looking for devices', async (signal) => {
      const out: DeviceId[] = []
      for await (const device of this.#account.local.presence.devicesOf(this.uri, { signal })) out.push(device)
      return out
    })
  }

  async openChannel(protocol: string, options: { device?: string } & Op = {}): Promise<Channel> {
    checkArgument('protocol', protocol, PROTOCOL)
    checkOptions(options, OPEN)
    const name = channelName(protocol)
    const { device, ...op } = options
    const only = device === undefined ? this.#device : parseDeviceId(device)
    const { connections, presence } = this.#account.local
    return this.#account.within(op, `channel ${protocol}`, async (signal) => {
      const linked = connections.links().filter((link) => link.peer.accountId === this.uri).map((link) => link.peer.deviceId)
      const tried = new Set<DeviceId>() // bounded by the peer's devices
      let failure = new JamiError('ERR_PEER_OFFLINE', `no device of ${this.uri} is announced`, { details: { peer: this.uri } })
      const attempt = async (target: DeviceId): Promise<Channel | undefined> => {
        if (tried.has(target)) return undefined
        tried.add(target)
        try {
          return channelStream(await connections.openChannel(target, name, { account: this.uri, signal }))
        } catch (error) {
          if (signal.aborted) throw abortError(signal)
          failure = JamiError.from(error)
          return undefined
        }
      }
      for (const target of only ? [only] : linked) {
        const channel = await attempt(target)
        if (channel) return channel
      }
      if (!only) {
        for await (const target of presence.devicesOf(this.uri, { signal })) {
          const channel = await attempt(target)
          if (channel) return channel
        }
      }
      throw failure
    })
  }

  async close(op?: Op): Promise<void> {
    checkOptions(op, OP)
    return this.#account.within(op, 'closing links', () => this.#account.local.connections.closePeer(this.uri))
  }
}
