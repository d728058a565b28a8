// Networks to join: the public Jami network, and none. The only place of the SDK that names a public host.
import type { NetworkOptions } from '@jamikit/core'

/** The public Jami network: bootstrap nodes of the Jami project, as stock clients use them. */
export const jamiNetwork: NetworkOptions = Object.freeze({ bootstrap: Object.freeze(['bootstrap.jami.net:4222']) })

/** Contacts nobody but the given DHT nodes (`host:port`); without any, waits for others to come. For tests, demos and private networks. */
export function isolated(...bootstrap: string[]): NetworkOptions {
  return { bootstrap }
}
