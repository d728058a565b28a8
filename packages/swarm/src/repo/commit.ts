// Commit objects: exact bytes, the one `signature` header, and what is signed. Pure. docs/protocol/04 §1.4, §1.5.
// Proof: repo/commit.test.ts (captured commits re-encode exactly, the serializer vector, refusal table, fuzz).
import { limitError } from '@jamikit/core/base'
import { concatBytes, fromBase64, fromUtf8, toBase64, utf8 } from '@jamikit/core/codec'
import type { DeviceId } from '@jamikit/core/contracts'
import { MAX_COMMIT_BYTES } from '../defaults.ts'
import { type Oid, repoInvalid } from './object.ts'

export interface CommitFields {
  readonly tree: Oid
  readonly parents: readonly Oid[]
  /** Already sanitised, see `authorName`. */
  readonly name: string
  readonly device: DeviceId
  /** Unix seconds. */
  readonly timeS: number
  readonly message: string
}

export interface Commit extends CommitFields {
  /** Committer time; equals `timeS` in honest commits. */
  readonly committerTimeS: number
  readonly signature: Uint8Array
  /** The bytes under the signature. */
  readonly signed: Uint8Array
}

/** A display name as git and the validators take it; the device id when nothing is left. */
export function authorName(displayName: string, device: DeviceId): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
  const name = displayName.replace(/[<>\u0000-\u001f]/g, '').replace(/^[\s,:;"\\']+|[\s,:;"\\']+$/g, '')
  return name === '' ? device : name.slice(0, 200)
}

/** The bytes to sign: everything but the signature. */
export function unsignedCommit(c: CommitFields): Uint8Array {
  const who = `${c.name} <${c.device}> ${c.timeS} +0000`
  return utf8([`tree ${c.tree}`, ...c.parents.map((p) => `parent ${p}`), `author ${who}`, `committer ${who}`, '', c.message].join('\n'))
}

/** Inserts the signature as the last header. */
export function signedCommit(unsigned: Uint8Array, signature: Uint8Array): Uint8Array {
  const end = headerEnd(unsigned)
  return concatBytes(unsigned.subarray(0, end), utf8(`signature ${toBase64(signature)}\n`), unsigned.subarray(end))
}

/** Offset of the empty line that ends the headers. */
function headerEnd(bytes: Uint8Array): number {
  for (let i = 0; i + 1 < bytes.length; i++) if (bytes[i] === 0x0a && bytes[i + 1] === 0x0a) return i + 1
  throw repoInvalid('commit: no empty line after the headers')
}

const PERSON = /^(.*) <([^<>]*)> (\d{1,12}) ([+-]\d{4})$/

/** @throws ERR_REPO_INVALID, ERR_CODEC, ERR_LIMIT */
export function parseCommit(bytes: Uint8Array): Commit {
  if (bytes.length > MAX_COMMIT_BYTES) throw limitError('commit bytes', bytes.length, MAX_COMMIT_BYTES)
  if (bytes.includes(0)) throw repoInvalid('commit: a NUL byte')
  const end = headerEnd(bytes)
  const headers = fromUtf8(bytes.subarray(0, end), 'commit headers').split('\n').slice(0, -1)
  let tree: string | undefined
  let author: RegExpExecArray | undefined
  let committer: RegExpExecArray | undefined
  let signature: { value: string; line: string } | undefined
  const parents: Oid[] = []
  for (const line of headers) {
    const space = line.indexOf(' ')
    const key = line.slice(0, space)
    const value = line.slice(space + 1)
    if (key === 'tree' && tree === undefined && /^[0-9a-f]{40}$/.test(value)) tree = value
    else if (key === 'parent' && /^[0-9a-f]{40}$/.test(value) && parents.length < 3) parents.push(value)
    else if (key === 'author' && !author) author = PERSON.exec(value) ?? undefined
    else if (key === 'committer' && !committer) committer = PERSON.exec(value) ?? undefined
    else if (key === 'signature' && !signature) signature = { value, line }
    else throw repoInvalid(`commit: header ${JSON.stringify(key.slice(0, 40))} is unknown, repeated or malformed`)
  }
  if (tree === undefined || !author || !committer) throw repoInvalid('commit: tree, author or committer is missing or malformed')
  if (!signature) throw repoInvalid('commit: no signature header')
  const device = author[2] ?? ''
  if (!/^[0-9a-f]{64}$/.test(device)) throw repoInvalid(`commit: got the author ${JSON.stringify(device.slice(0, 80))}, allowed a device id`)
  const start = utf8(headers.slice(0, headers.indexOf(signature.line)).map((line) => `${line}\n`).join('')).length
  const signed = concatBytes(bytes.subarray(0, start), bytes.subarray(start + utf8(signature.line).length + 1))
  return {
    tree, parents, name: author[1] ?? '', device: device as DeviceId, timeS: Number(author[3]), committerTimeS: Number(committer[3]),
    message: fromUtf8(bytes.subarray(end + 1), 'commit message'), signature: fromBase64(signature.value), signed,
  }
}
