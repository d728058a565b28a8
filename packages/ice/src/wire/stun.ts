// STUN Binding messages of ICE: requests, responses, indications, integrity and fingerprint. Pure.
// RFC 5389 §6, §15; RFC 8445 §7; docs/protocol/02 §2.5. Proof: wire/stun.test.ts (captured messages, refusal table, fuzz).
import { createHmac } from 'node:crypto'
import { codecError } from '@jamikit/core/base'
import { concatBytes, fromUtf8, joinBytes, utf8 } from '@jamikit/core/codec'
import { constantTimeEqual } from '@jamikit/core/crypto'

export const BINDING_REQUEST = 0x0001
export const BINDING_INDICATION = 0x0011
export const BINDING_SUCCESS = 0x0101
export const BINDING_ERROR = 0x0111
const COOKIE = 0x2112a442
const FINGERPRINT_XOR = 0x5354554e
const ATTRIBUTE = {
  username: 0x0006, integrity: 0x0008, errorCode: 0x0009, xorMappedAddress: 0x0020, priority: 0x0024, useCandidate: 0x0025, software: 0x8022,
  fingerprint: 0x8028, controlled: 0x8029, controlling: 0x802a,
} as const
const MAX_ATTRIBUTES = 32

export interface StunMessage {
  readonly type: number
  /** 12 bytes. */
  readonly transaction: Uint8Array
  readonly username?: string
  readonly priority?: number
  readonly useCandidate?: boolean
  /** Tie-breaker, 8 bytes; at most one of the two. */
  readonly controlling?: Uint8Array
  readonly controlled?: Uint8Array
  readonly errorCode?: number
  /** Address as seen by the answerer: family and raw bytes. */
  readonly mapped?: { readonly address: Uint8Array; readonly port: number }
}

/** A decoded message with what is needed to check it. */
export interface ParsedStun extends StunMessage {
  readonly raw: Uint8Array
  /** Offset of the MESSAGE-INTEGRITY attribute; undefined when there is none. */
  readonly integrityAt: number | undefined
}

/** The demultiplexing rule of a framed connection (§2.6). */
export function isStun(frame: Uint8Array): boolean {
  if (frame.length < 20 || ((frame[0] ?? 0) & 0xc0) !== 0) return false
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  return view.getUint32(4) === COOKIE && view.getUint16(2) === frame.length - 20
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
  return c >>> 0
})

function crc32(bytes: Uint8Array): number {
  let c = 0xffffffff
  for (let i = 0; i < bytes.length; i++) c = (CRC[(c ^ (bytes[i] as number)) & 0xff] as number) ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}

function attribute(type: number, value: Uint8Array): Uint8Array {
  const out = new Uint8Array(4 + ((value.length + 3) & ~3))
  const view = new DataView(out.buffer)
  view.setUint16(0, type)
  view.setUint16(2, value.length)
  out.set(value, 4)
  return out
}

function u32(value: number): Uint8Array {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, value)
  return out
}

function header(type: number, length: number, transaction: Uint8Array): Uint8Array {
  const out = new Uint8Array(20)
  const view = new DataView(out.buffer)
  view.setUint16(0, type)
  view.setUint16(2, length)
  view.setUint32(4, COOKIE)
  out.set(transaction, 8)
  return out
}

function xorAddress(address: Uint8Array, transaction: Uint8Array): Uint8Array {
  const mask = concatBytes(u32(COOKIE), transaction)
  return address.map((b, i) => b ^ (mask[i] as number))
}

function hmac(password: string, bytes: Uint8Array): Uint8Array {
  return createHmac('sha1', utf8(password)).update(bytes).digest()
}

/** @param password of the receiver for requests, of the asked one for responses; left out = no integrity (indications) */
export function encodeStun(m: StunMessage, password?: string): Uint8Array {
  const parts: Uint8Array[] = []
  if (m.mapped) {
    const port = m.mapped.port ^ (COOKIE >>> 16)
    parts.push(attribute(ATTRIBUTE.xorMappedAddress, concatBytes(Uint8Array.of(0, m.mapped.address.length === 4 ? 1 : 2, port >> 8, port & 0xff), xorAddress(m.mapped.address, m.transaction))))
  }
  if (m.errorCode !== undefined) parts.push(attribute(ATTRIBUTE.errorCode, Uint8Array.of(0, 0, Math.floor(m.errorCode / 100), m.errorCode % 100)))
  if (m.priority !== undefined) parts.push(attribute(ATTRIBUTE.priority, u32(m.priority)))
  if (m.useCandidate) parts.push(attribute(ATTRIBUTE.useCandidate, new Uint8Array(0)))
  if (m.controlling) parts.push(attribute(ATTRIBUTE.controlling, m.controlling))
  if (m.controlled) parts.push(attribute(ATTRIBUTE.controlled, m.controlled))
  if (m.username !== undefined) parts.push(attribute(ATTRIBUTE.username, utf8(m.username)))
  let body = joinBytes(parts)
  if (password !== undefined) {
    const signed = concatBytes(header(m.type, body.length + 24, m.transaction), body)
    body = concatBytes(body, attribute(ATTRIBUTE.integrity, hmac(password, signed)))
  }
  const covered = concatBytes(header(m.type, body.length + 8, m.transaction), body)
  return concatBytes(covered, attribute(ATTRIBUTE.fingerprint, u32((crc32(covered) ^ FINGERPRINT_XOR) >>> 0)))
}

/** Checks form and fingerprint (when there is one), not integrity. @throws ERR_CODEC */
export function decodeStun(frame: Uint8Array): ParsedStun {
  if (!isStun(frame)) throw codecError('STUN message', `${frame.length} bytes`, 'a STUN message')
  const raw = new Uint8Array(frame) // a copy, also of a Buffer
  const view = new DataView(raw.buffer)
  const transaction = raw.subarray(8, 20)
  const m: { -readonly [K in keyof ParsedStun]: ParsedStun[K] } = { type: view.getUint16(0), transaction, raw, integrityAt: undefined }
  let count = 0
  for (let at = 20; at < raw.length; ) {
    if (at + 4 > raw.length || ++count > MAX_ATTRIBUTES) throw codecError('STUN attributes', `${count}`, `at most ${MAX_ATTRIBUTES}, complete`)
    const type = view.getUint16(at)
    const length = view.getUint16(at + 2)
    const end = at + 4 + length
    if (end > raw.length) throw codecError(`STUN attribute 0x${type.toString(16)}`, `${length} bytes`, `${raw.length - at - 4} bytes`)
    const value = raw.subarray(at + 4, end)
    const exact = (n: number) => {
      if (length !== n) throw codecError(`STUN attribute 0x${type.toString(16)}`, `${length} bytes`, `${n} bytes`)
    }
    if (m.integrityAt !== undefined && type !== ATTRIBUTE.fingerprint) {
      at = end + ((4 - (length & 3)) & 3) // RFC 5389 §15.4: what follows integrity is ignored
      continue
    }
    if (type === ATTRIBUTE.username) m.username = fromUtf8(value, 'STUN username')
    else if (type === ATTRIBUTE.priority) { exact(4); m.priority = view.getUint32(at + 4) }
    else if (type === ATTRIBUTE.useCandidate) m.useCandidate = true
    else if (type === ATTRIBUTE.controlling) { exact(8); m.controlling = value.slice() }
    else if (type === ATTRIBUTE.controlled) { exact(8); m.controlled = value.slice() }
    else if (type === ATTRIBUTE.errorCode && length >= 4) m.errorCode = (value[2] ?? 0) * 100 + (value[3] ?? 0)
    else if (type === ATTRIBUTE.xorMappedAddress) {
      const size = value[1] === 1 ? 4 : 16
      exact(4 + size)
      m.mapped = { port: view.getUint16(at + 6) ^ (COOKIE >>> 16), address: xorAddress(value.slice(4), transaction) }
    } else if (type === ATTRIBUTE.integrity) { exact(20); m.integrityAt = at }
    else if (type === ATTRIBUTE.fingerprint) {
      exact(4)
      if (((crc32(raw.subarray(0, at)) ^ FINGERPRINT_XOR) >>> 0) !== view.getUint32(at + 4)) throw codecError('STUN fingerprint', 'another value', 'the CRC of the message')
    }
    at = end + ((4 - (length & 3)) & 3)
  }
  return m
}

/** Constant time. False without a MESSAGE-INTEGRITY attribute. */
export function hasIntegrity(m: ParsedStun, password: string): boolean {
  if (m.integrityAt === undefined) return false
  const signed = m.raw.slice(0, m.integrityAt)
  new DataView(signed.buffer).setUint16(2, m.integrityAt + 24 - 20)
  return constantTimeEqual(hmac(password, signed), m.raw.subarray(m.integrityAt + 4, m.integrityAt + 24))
}
