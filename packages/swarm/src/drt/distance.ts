// Ids of devices as numbers of 256 bits: how far two are from each other, which prefix they share. On their hex text, without copies.
// Pure. docs/protocol/04 §6.1. Proof: drt/routing-table.test.ts.
import { fromHex, toHex } from '@jamikit/core/codec'
import type { DeviceId } from '@jamikit/core/contracts'

export const ID_BITS = 256

/** Negative when `a` is closer to `target` than `b` by XOR, 0 when they are the same. */
export function compareDistance(target: DeviceId, a: DeviceId, b: DeviceId): number {
  for (let i = 0; i < a.length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) {
      const t = digit(target.charCodeAt(i))
      return (digit(x) ^ t) - (digit(y) ^ t)
    }
  }
  return 0
}

/** Leading bits that two ids have in common. */
export function commonBits(a: DeviceId, b: DeviceId): number {
  for (let i = 0; i < a.length; i++) {
    const x = digit(a.charCodeAt(i)) ^ digit(b.charCodeAt(i))
    if (x !== 0) return 4 * i + Math.clz32(x) - 28
  }
  return ID_BITS
}

/** An id that shares exactly `bits` leading bits with `own`. @param random 32 bytes, for the rest */
export function idBeside(own: DeviceId, bits: number, random: Uint8Array): DeviceId {
  const mine = fromHex(own)
  const out = random.slice(0, 32)
  for (let i = 0; i <= bits; i++) {
    const mask = 0x80 >> (i & 7)
    const at = i >> 3
    const bit = ((mine[at] as number) & mask) ^ (i === bits ? mask : 0)
    out[at] = ((out[at] as number) & ~mask) | bit
  }
  return toHex(out) as DeviceId
}

function digit(code: number): number {
  return code < 0x3a ? code - 0x30 : (code | 0x20) - 0x57
}
