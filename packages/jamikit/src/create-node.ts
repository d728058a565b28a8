// createJamiNode() with all modules filled in. No logic of its own.
import { createJamiNode as assemble, type JamiNode, type NetworkOptions, type NodeOptions as CoreOptions } from '@jamikit/core'
import { dht } from '@jamikit/dht'
import { ice } from '@jamikit/ice'
import { media } from '@jamikit/media'
import { swarm } from '@jamikit/swarm'
import { jamiNetwork } from './networks.ts'

/** Options of `createJamiNode()`; all of them may be left out. */
export interface NodeOptions extends Omit<CoreOptions, 'modules' | 'network'> {
  /** Default: the public Jami network. `isolated()` contacts nobody. */
  network?: NetworkOptions
  /** Replaces single modules. */
  modules?: Partial<CoreOptions['modules']>
}

/**
 * Starts a Jami node. Resolves when the profile is open; the network comes later, see the `state` event.
 * @throws ERR_STORAGE_LOCKED, ERR_STORAGE_CORRUPT, ERR_PASSWORD (`encryptionKey`), ERR_ARGUMENT, ERR_ABORTED
 * @example const node = await createJamiNode({ storage: './my-bot', network: isolated('10.0.0.1:4222'), logger: 'warn' })
 */
export async function createJamiNode(options: NodeOptions = {}): Promise<JamiNode> {
  const { network = jamiNetwork, modules, ...rest } = options ?? {}
  if (options === null || typeof options !== 'object' || Array.isArray(options)) return assemble(options as never) // which says what is wrong
  return assemble({ ...rest, network, modules: { dht: dht(), connections: ice(), conversations: swarm(), media: media(), ...modules } })
}
