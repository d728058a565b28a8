// The real Network. This folder's node-*.ts are the only importers of node:dgram, node:net and node:dns.
// Proof: io/node-network.test.ts with testing/suites/network.ts.
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Network } from '../contracts/socket.ts'
import { plainHost } from './addresses.ts'
import { bindDatagram } from './node-datagram.ts'
import { connectStream, listenStream } from './node-stream.ts'
import { Resolver } from './resolver.ts'
import { systemClock } from './system-clock.ts'

export function nodeNetwork(): Network {
  return network
}

const resolver = new Resolver(systemClock(), (host) => lookup(host, { all: true, verbatim: true }))

const network: Network = {
  addresses() {
    const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
    const usable = all.filter((a) => !(a.family === 'IPv6' && /^fe[89ab]/i.test(a.address))) // link-local ones need a zone
    const outside = usable.filter((a) => !a.internal)
    return (outside.length > 0 ? outside : usable).map((a) => ({ host: plainHost(a.address), family: a.family === 'IPv6' ? 6 : 4 }))
  },

  async resolve(host, op) {
    const family = isIP(host)
    if (family === 4 || family === 6) return [{ host, family }]
    return resolver.resolve(host, op)
  },

  bindDatagram,
  listenStream,
  connectStream: (to, options) => connectStream(to, options),
}
