// Compact node lists of find and get replies. Pure. docs/protocol/01 §1.6. Proof: wire/message.test.ts.
import { concatBytes, fromHex, joinBytes, toHex } from '@jamikit/core/codec'
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { bytesToHost, hostToBytes } from './address.ts'

export interface NodeInfo {
  readonly id: InfoHash
  readonly address: SocketAddress
}

/** Entries we read of one list. */
const MAX_NODES = 64

export function encodeNodes(nodes: readonly NodeInfo[]): Uint8Array {
  return joinBytes(nodes.map(({ id, address }) => {
    const host = hostToBytes(address.host) ?? new Uint8Array(address.family === 4 ? 4 : 16)
    return concatBytes(fromHex(id), host, Uint8Array.of(address.port >> 8, address.port & 0xff))
  }))
}

/** Whole entries; a rest that is none costs itself only. */
export function decodeNodes(blob: Uint8Array, family: 4 | 6, most = MAX_NODES): NodeInfo[] {
  const host = family === 4 ? 4 : 16
  const size = 20 + host + 2
  const out: NodeInfo[] = []
  for (let at = 0; at + size <= blob.length && out.length < most; at += size) {
    const port = ((blob[at + size - 2] ?? 0) << 8) | (blob[at + size - 1] ?? 0)
    out.push({ id: toHex(blob.subarray(at, at + 20)) as InfoHash, address: { host: bytesToHost(blob.subarray(at + 20, at + 20 + host)), port, family } })
  }
  return out
}
