// Textual addresses as bytes, and which of them a peer may make us connect to. Pure; no names are ever resolved here.
// docs/protocol/02 §2.1, §8.6 S8. Proof: wire/address.test.ts.

/** 4 or 16 bytes; undefined for everything that is not a plain address. IPv4-mapped IPv6 becomes IPv4. */
export function addressBytes(host: string): Uint8Array | undefined {
  if (host.length > 45) return undefined
  return host.includes(':') ? sixteen(host) : four(host)
}

function four(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((p) => /^(0|[1-9]\d{0,2})$/.test(p) && Number(p) < 256)) return undefined
  return Uint8Array.from(parts.map(Number))
}

function sixteen(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const words: (number[] | undefined)[] = halves.map((half, i) => wordsOf(half, i === halves.length - 1))
  const [head, tail] = words
  if (!head || (halves.length === 2 && !tail)) return undefined
  const missing = 8 - head.length - (tail?.length ?? 0)
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const all = [...head, ...Array<number>(missing).fill(0), ...(tail ?? [])]
  const bytes = Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]))
  const mapped = bytes.subarray(0, 10).every((b) => b === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  return mapped ? bytes.slice(12) : bytes
}

function wordsOf(text: string, last: boolean): number[] | undefined {
  if (text === '') return []
  const out: number[] = []
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    if (last && i === parts.length - 1 && part.includes('.')) {
      const v4 = four(part)
      if (!v4) return undefined
      const [a = 0, b = 0, c = 0, d = 0] = v4
      out.push((a << 8) | b, (c << 8) | d)
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined
      out.push(Number.parseInt(part, 16))
    }
  }
  return out
}

export function isLoopback(address: Uint8Array): boolean {
  return address.length === 4 ? address[0] === 127 : address[15] === 1 && address.subarray(0, 15).every((b) => b === 0)
}

export function isLinkLocal(address: Uint8Array): boolean {
  return address.length === 4 ? address[0] === 169 && address[1] === 254 : address[0] === 0xfe && ((address[1] ?? 0) & 0xc0) === 0x80
}

/** Never: unspecified, loopback, link-local, multicast, broadcast, reserved. Private ranges may: two devices of one home have nothing else. */
export function mayConnectTo(address: Uint8Array): boolean {
  if (isLoopback(address) || isLinkLocal(address)) return false
  const first = address[0] ?? 0
  if (address.length === 4) return first !== 0 && first < 224
  return first !== 0xff && !address.subarray(0, 12).every((b) => b === 0) // ::, and the old IPv4-compatible form
}
