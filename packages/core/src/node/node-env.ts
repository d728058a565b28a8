// What a node and its accounts are made of; create-node.ts puts it together. Types only.
import type { Dht as WireDht } from '../contracts/dht.ts'
import type { BaseEnv, Modules } from '../contracts/module.ts'
import type { Storage } from '../contracts/storage.ts'
import type { Warn } from './problems.ts'

export interface NodeEnv extends BaseEnv {
  readonly dht: WireDht
  readonly storage: Storage
  readonly modules: Modules
  readonly warn: Warn
  /** Gives the profile back. */
  readonly release: () => Promise<void>
}
