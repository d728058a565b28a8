// The form of the journal: a header, then frames, each one change of the history that counts as a whole. A frame is: length u32 ‖ CRC-32
// of length and position ‖ CRC-32 of the body ‖ body; a body is sections: kind u8 ‖ length u32 ‖ data. Pure.
// Proof: repo/journal-format.test.ts (every cut, every flipped byte).
import { crc32 } from 'node:zlib'
import { JamiError } from '@jamikit/core/base'
import { concatBytes, equalBytes, fromHex, joinBytes, toHex, utf8 } from '@jamikit/core/codec'
import type { ObjectType, Oid } from './object.ts'
import type { PackedObject } from './types.ts'

export const JOURNAL_HEADER = utf8('jamikit journal 1\n')
const HEAD_BYTES = 12
const SECTION_BYTES = 5
const OBJECT_BYTES = 25
const OBJECT = 1
const ROWS = 2
const HEAD = 3
const CHECKPOINT = 4
const TYPES: readonly ObjectType[] = ['commit', 'tree', 'blob', 'tag']
/** A power cut leaves pages without data; nothing that we write has so many zeros in a row. */
const HOLE_BYTES = 64

/** How much of the graph file counts. */
export interface GraphCheckpoint {
  readonly bytes: number
  readonly rows: number
}

/** An object in the journal; `at` is where its zlib stream begins. */
export interface JournalObject {
  readonly type: ObjectType
  readonly size: number
  readonly at: number
  readonly length: number
  readonly crc: number
}

export interface JournalVisitor {
  object(oid: Oid, object: JournalObject): void
  /** A segment as in graph-file.ts. */
  rows(segment: Uint8Array): void
  head(oid: Oid): void
  checkpoint(checkpoint: GraphCheckpoint): void
}

function frameHead(length: number, position: number): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, length)
  view.setFloat64(4, position)
  const head = new Uint8Array(8)
  head.set(bytes.subarray(0, 4))
  new DataView(head.buffer).setUint32(4, crc32(bytes))
  return head
}

/** One frame in the making. */
export class Frame {
  readonly #parts: Uint8Array[] = []
  readonly #objects: { oid: Oid; object: JournalObject }[] = [] // bounded by one change of the history
  #length = 0

  get empty(): boolean {
    return this.#length === 0
  }

  get length(): number {
    return this.#length
  }

  get objects(): number {
    return this.#objects.length
  }

  #section(kind: number, ...data: readonly Uint8Array[]): void {
    const length = data.reduce((sum, part) => sum + part.length, 0)
    const head = new Uint8Array(SECTION_BYTES)
    head[0] = kind
    new DataView(head.buffer).setUint32(1, length)
    this.#parts.push(head, ...data)
    this.#length += SECTION_BYTES + length
  }

  object(oid: Oid, { type, size, deflated }: PackedObject): void {
    const head = new Uint8Array(OBJECT_BYTES)
    head.set(fromHex(oid))
    head[20] = TYPES.indexOf(type)
    new DataView(head.buffer).setUint32(21, size)
    this.#objects.push({ oid, object: { type, size, at: this.#length + SECTION_BYTES + OBJECT_BYTES, length: deflated.length, crc: crc32(deflated) } })
    this.#section(OBJECT, head, deflated)
  }

  rows(segment: Uint8Array): void {
    this.#section(ROWS, segment)
  }

  head(oid: Oid): void {
    this.#section(HEAD, fromHex(oid))
  }

  checkpoint({ bytes, rows }: GraphCheckpoint): void {
    const data = new Uint8Array(12)
    const view = new DataView(data.buffer)
    view.setFloat64(0, bytes)
    view.setUint32(8, rows)
    this.#section(CHECKPOINT, data)
  }

  /** The frame as it begins at byte `position` of the journal. */
  encode(position: number): Uint8Array {
    const body = joinBytes(this.#parts)
    const check = new Uint8Array(4)
    new DataView(check.buffer).setUint32(0, crc32(body))
    return concatBytes(frameHead(body.length, position), check, body)
  }

  /** Its objects, placed in a journal in which it begins at `position`. */
  *placed(position: number): Generator<[Oid, JournalObject]> {
    for (const { oid, object } of this.#objects) yield [oid, { ...object, at: position + HEAD_BYTES + object.at }]
  }
}

/**
 * Visits every frame. `end` is where the next one belongs: what follows it never finished. `damaged` counts frames that had been whole and
 * are not any more; what can still be told of them is visited, to be checked by whoever uses it.
 * @throws ERR_STORAGE_CORRUPT when it cannot be told what was there
 */
export function replayJournal(bytes: Uint8Array, visitor: JournalVisitor): { end: number; damaged: number; frames: number } {
  let at = JOURNAL_HEADER.length
  let damaged = 0
  let frames = 0
  let uncertain = -1 // a frame that may have moved main, and nothing later says where it is
  if (!equalBytes(bytes.subarray(0, at), JOURNAL_HEADER)) {
    if (!isHead(bytes, at)) throw corrupt('header', 0)
    damaged++
  }
  while (at < bytes.length) {
    if (!isHead(bytes, at)) {
      const later = nextHead(bytes, at + 1)
      if (later < 0 && (bytes.length - at < HEAD_BYTES || hasHole(bytes.subarray(at)))) break
      if (later < 0) throw corrupt('frame', at)
      damaged++
      uncertain = at
      at = later
      continue
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset + at)
    const end = at + HEAD_BYTES + view.getUint32(0)
    if (end > bytes.length) break
    const body = bytes.subarray(at + HEAD_BYTES, end)
    const whole = crc32(body) === view.getUint32(8)
    if (!whole && end === bytes.length && hasHole(body)) break
    if (!whole) damaged++
    const { complete, head } = visit(body, at + HEAD_BYTES, visitor)
    if (whole && !complete) throw corrupt('section', at)
    if (!complete) uncertain = at
    else if (head && whole) uncertain = -1
    frames++
    at = end
  }
  if (uncertain >= 0) throw corrupt('frame', uncertain)
  return { end: at, damaged, frames }
}

function corrupt(what: string, position: number): JamiError {
  return new JamiError('ERR_STORAGE_CORRUPT', `history journal: damaged ${what} at byte ${position}`, { details: { what, position } })
}

function isHead(bytes: Uint8Array, at: number): boolean {
  if (at + HEAD_BYTES > bytes.length) return false
  const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0)
  return equalBytes(frameHead(length, at), bytes.subarray(at, at + 8))
}

function nextHead(bytes: Uint8Array, from: number): number {
  for (let at = from; at + HEAD_BYTES <= bytes.length; at++) if (isHead(bytes, at)) return at
  return -1
}

function hasHole(bytes: Uint8Array): boolean {
  let zeros = 0
  for (const byte of bytes) {
    zeros = byte === 0 ? zeros + 1 : 0
    if (zeros >= Math.min(HOLE_BYTES, bytes.length)) return true
  }
  return false
}

/** @returns whether every section could be told, and whether one was a head */
function visit(body: Uint8Array, position: number, visitor: JournalVisitor): { complete: boolean; head: boolean } {
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  let head = false
  for (let at = 0; at < body.length; ) {
    const length = at + SECTION_BYTES <= body.length ? view.getUint32(at + 1) : body.length
    const start = at + SECTION_BYTES
    if (start + length > body.length) return { complete: false, head }
    const data = body.subarray(start, start + length)
    const kind = body[at]
    const type = kind === OBJECT && length >= OBJECT_BYTES ? TYPES[data[20] as number] : undefined
    if (type) {
      const deflated = data.subarray(OBJECT_BYTES)
      visitor.object(toHex(data.subarray(0, 20)), { type, size: view.getUint32(start + 21), at: position + start + OBJECT_BYTES, length: deflated.length, crc: crc32(deflated) })
    } else if (kind === ROWS) visitor.rows(data)
    else if (kind === HEAD && length === 20) visitor.head(toHex(data))
    else if (kind === CHECKPOINT && length === 12) visitor.checkpoint({ bytes: view.getFloat64(start), rows: view.getUint32(start + 8) })
    else return { complete: false, head }
    head ||= kind === HEAD
    at = start + length
  }
  return { complete: true, head }
}
