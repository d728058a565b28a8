// IP addresses as bytes and text, and which of them may not be a DHT peer. Pure. docs/protocol/01 §1.6, §2.5.
// Proof: wire/message.test.ts.
import type { SocketAddress } from '@jamikit/core/contracts'

/** 4 or 16 bytes; undefined when the text is no numeric address. IPv4-mapped IPv6 gives 4 bytes. */
export function hostToBytes(host: string): Uint8Array | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host)
  if (v4) {
    const bytes = v4.slice(1).map(Number)
    return bytes.every((b) => b < 256) ? Uint8Array.from(bytes) : undefined
  }
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)
  if (mapped) return hostToBytes(mapped[1] ?? '')
  if (host.length > 45 || !/^[0-9a-f:]+$/i.test(host)) return undefined
  const halves = host.split('::')
  if (halves.length > 2) return undefined
  const words = (text: string | undefined) => (text ? text.split(':') : [])
  const head = words(halves[0])
  const tail = words(halves[1])
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const all = [...head, ...Array<string>(halves.length === 2 ? missing : 0).fill('0'), ...tail]
  const out = new Uint8Array(16)
  for (const [i, word] of all.entries()) {
    if (!/^[0-9a-f]{1,4}$/i.test(word)) return undefined
    const value = Number.parseInt(word, 16)
    out[2 * i] = value >> 8
    out[2 * i + 1] = value & 0xff
  }
  return out
}

/** Text as the system prints it (RFC 5952 for IPv6). @param bytes 4 or 16 */
export function bytesToHost(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0))
  let best = { at: -1, length: 1 }
  for (let i = 0; i < 8; i++) {
    let n = 0
    while (i + n < 8 && words[i + n] === 0) n++
    if (n > best.length) best = { at: i, length: n }
  }
  const hex = (part: number[]) => part.map((w) => w.toString(16)).join(':')
  if (best.at < 0) return hex(words)
  return `${hex(words.slice(0, best.at))}::${hex(words.slice(best.at + best.length))}`
}

/** One text per address and port. */
export function addressKey(a: SocketAddress): string {
  return `${a.host}|${a.port}`
}

/** What requests are counted and stored values are charged by: an IPv4 address, an IPv6 /64. */
export function sourceKey(a: SocketAddress): string {
  if (a.family === 4) return a.host
  const bytes = hostToBytes(a.host)
  return bytes ? bytes.subarray(0, 8).join('.') : a.host
}

/** The network an address belongs to, for shares and votes: an IPv4 /24, an IPv6 /48. */
export function networkKey(a: SocketAddress): string {
  const bytes = hostToBytes(a.host)
  return bytes ? bytes.subarray(0, bytes.length === 4 ? 3 : 6).join(bytes.length === 4 ? '.' : ':') : a.host
}

/** Addresses that no datagram can honestly come from. Private and loopback ones are fine. */
export function isMartian(a: SocketAddress): boolean {
  if (a.port < 1 || a.port > 65535) return true
  const bytes = hostToBytes(a.host)
  if (!bytes) return true
  const first = bytes[0] ?? 0
  if (bytes.length === 4) return first === 0 || first >= 224
  const mapped = bytes.subarray(0, 12).every((b, i) => b === (i < 10 ? 0 : 0xff))
  return first === 0xff || mapped || bytes.every((b) => b === 0)
}

export function isLoopback(bytes: Uint8Array): boolean {
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((b, i) => b === (i === 15 ? 1 : 0))
}
