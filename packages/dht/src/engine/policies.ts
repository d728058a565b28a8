// What each type of value is allowed: how long it lives, where it may stand, who may replace it. Pure; signatures were verified before.
// docs/protocol/01 §4.5. Proof: engine/engine.test.ts, engine/value-store.test.ts.
import { compareBytes, equalBytes } from '@jamikit/core/codec'
import type { InfoHash } from '@jamikit/core/contracts'
import { certificateKey, parseChain } from '@jamikit/core/identity'
import { encodeBody, outerType, type Value } from '../wire/value.ts'

const MINUTE = 60_000
const LIFETIMES: ReadonlyMap<number, number> = new Map([
  [1, 5 * MINUTE], [2, 15 * MINUTE], [3, 5 * MINUTE], [4, 7 * 24 * 60 * MINUTE], [5, MINUTE], [8, 7 * 24 * 60 * MINUTE],
])
export const CERTIFICATE = 8

/** How long a value of an outer type lives after it was put, ms. */
export function lifetimeMs(type: number): number {
  return LIFETIMES.get(type) ?? 10 * MINUTE
}

function idsOf(value: Value): { leaf: string; shortId: string; issuer: string } | undefined {
  try {
    const chain = parseChain(value.body?.data ?? new Uint8Array(0))
    return { leaf: chain[0].longId, shortId: chain[0].shortId, issuer: (chain[1] ?? chain[0]).longId }
  } catch {
    return undefined // unreadable: stands nowhere, replaces nothing
  }
}

/** True when a certificate value may stand at this key. */
export function isCertificateFor(key: InfoHash, value: Value): boolean {
  const ids = idsOf(value)
  return ids !== undefined && (ids.shortId === key || certificateKey(ids.leaf as Parameters<typeof certificateKey>[0]) === key)
}

/** The same key, certified by the same issuer: a renewal, provided that the signature of the new one holds. */
export function isRenewal(old: Value, next: Value): boolean {
  const [a, b] = [idsOf(old), idsOf(next)]
  return a !== undefined && b !== undefined && a.leaf === b.leaf && a.issuer === b.issuer
}

/**
 * The edit rule: only the same signer with a higher number, or the same bytes. A certificate is replaced only by a renewal whose
 * signature somebody has checked (`vouched`): its content is public, so anybody could write another one around the same key.
 */
export function mayReplace(old: Value, next: Value, vouched = false): boolean {
  if (outerType(old) === CERTIFICATE || outerType(next) === CERTIFICATE) return vouched && outerType(old) === outerType(next) && isRenewal(old, next)
  const [a, b] = [old.body, next.body]
  if (!a?.owner || !b?.owner || !equalBytes(a.owner, b.owner)) return false
  return b.seq > a.seq || (b.seq === a.seq && compareBytes(encodeBody(a), encodeBody(b)) === 0)
}
