// Text forms of addresses, as contracts/socket.ts wants them. Pure. Proof: io/io.test.ts.
import type { SocketAddress } from '../contracts/socket.ts'

/** No zone, no brackets; an IPv4-mapped address becomes IPv4. */
export function plainHost(host: string): string {
  const zone = host.indexOf('%')
  const bare = zone < 0 ? host : host.slice(0, zone)
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(bare) ? bare.slice(7) : bare
}

export function socketAddress(host: string | undefined, port: number | undefined): SocketAddress {
  const plain = plainHost(host ?? '0.0.0.0')
  return { host: plain, port: port ?? 0, family: plain.includes(':') ? 6 : 4 }
}
