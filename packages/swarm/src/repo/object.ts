// Git objects: hashing, loose form, trees. Pure. docs/protocol/04 §1.3, §2. Proof: repo/object.test.ts (ids of git, refusal table, fuzz).
import { deflateSync, inflateSync } from 'node:zlib'
import { JamiError, limitError } from '@jamikit/core/base'
import { concatBytes, fromHex, fromUtf8, joinBytes, toHex, utf8 } from '@jamikit/core/codec'
import { sha1 } from '@jamikit/core/crypto'
import { MAX_STORED_OBJECT_BYTES, MAX_TREE_ENTRIES } from '../defaults.ts'

export type ObjectType = 'commit' | 'tree' | 'blob' | 'tag'
/** 40 lower-case hex digits. */
export type Oid = string

export interface GitObject {
  readonly type: ObjectType
  readonly data: Uint8Array
}

export interface TreeEntry {
  readonly mode: string
  readonly name: string
  readonly oid: Oid
}

export const BLOB_MODE = '100644'
export const TREE_MODE = '40000'
export const EMPTY_BLOB: Uint8Array = new Uint8Array(0)

export function repoInvalid(message: string, details: Record<string, unknown> = {}): JamiError {
  return new JamiError('ERR_REPO_INVALID', message, { details })
}

function framed(o: GitObject): Uint8Array {
  return concatBytes(utf8(`${o.type} ${o.data.length}\0`), o.data)
}

export function objectId(o: GitObject): Oid {
  return toHex(sha1(framed(o)))
}

export function encodeLoose(o: GitObject): Uint8Array {
  return deflateSync(framed(o))
}

/** @throws ERR_STORAGE_CORRUPT when the bytes are not the object of this id */
export function decodeLoose(bytes: Uint8Array, oid: Oid): GitObject {
  try {
    const raw = new Uint8Array(inflateSync(bytes, { maxOutputLength: MAX_STORED_OBJECT_BYTES + 64 }))
    const zero = raw.indexOf(0)
    const match = /^(commit|tree|blob|tag) (\d+)$/.exec(fromUtf8(raw.subarray(0, Math.min(zero, 32))))
    const object: GitObject = { type: match?.[1] as ObjectType, data: raw.slice(zero + 1) }
    if (match && Number(match[2]) === object.data.length && objectId(object) === oid) return object
  } catch (cause) {
    throw new JamiError('ERR_STORAGE_CORRUPT', `git object ${oid} cannot be read`, { cause })
  }
  throw new JamiError('ERR_STORAGE_CORRUPT', `git object ${oid} is damaged`)
}

/** Git's order: directories compare as if their name ended in a slash. */
function sortName(e: TreeEntry): string {
  return e.mode === TREE_MODE ? `${e.name}/` : e.name
}

export function encodeTree(entries: readonly TreeEntry[]): Uint8Array {
  const sorted = [...entries].sort((a, b) => (sortName(a) < sortName(b) ? -1 : 1))
  return joinBytes(sorted.map((e) => concatBytes(utf8(`${e.mode} ${e.name}\0`), fromHex(e.oid))))
}

/** Only plain files and directories, with names that are one path segment, in order. @throws ERR_REPO_INVALID, ERR_LIMIT */
export function decodeTree(data: Uint8Array): TreeEntry[] {
  const out: TreeEntry[] = []
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at)
    const zero = data.indexOf(0, at)
    if (space < 0 || zero < space || zero + 21 > data.length) throw repoInvalid('tree: a truncated entry')
    if (out.length >= MAX_TREE_ENTRIES) throw limitError('tree entries', out.length + 1, MAX_TREE_ENTRIES)
    const mode = fromUtf8(data.subarray(at, space))
    const name = fromUtf8(data.subarray(space + 1, zero))
    if (mode !== BLOB_MODE && mode !== TREE_MODE) throw repoInvalid(`tree: got mode ${mode}, allowed files and directories`, { name, mode })
    if (name === '' || name === '.' || name === '..' || name.toLowerCase() === '.git' || /[/\\]/.test(name)) throw repoInvalid(`tree: got the name ${JSON.stringify(name)}, allowed one path segment`)
    const entry = { mode, name, oid: toHex(data.subarray(zero + 1, zero + 21)) }
    const last = out.at(-1)
    if (last && sortName(last) >= sortName(entry)) throw repoInvalid('tree: entries out of order')
    out.push(entry)
    at = zero + 21
  }
  return out
}
