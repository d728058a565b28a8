// Histories of real git objects for tests of the repository: commits as they are written, signed by nobody.
import type { JamiError } from '@jamikit/core/base'
import { concatBytes, utf8 } from '@jamikit/core/codec'
import type { FileTree } from '@jamikit/core/contracts'
import { sha512 } from '@jamikit/core/crypto'
import { signedCommit, unsignedCommit } from '../src/repo/commit.ts'
import { type GitObject, objectId, type Oid } from '../src/repo/object.ts'
import type { RepositoryOptions } from '../src/repo/repository.ts'
import { buildTrees } from '../src/repo/trees.ts'
import type { Advance, NewCommit, ReceivedPack } from '../src/repo/types.ts'
import { PackReader } from '../src/sync/pack-reader.ts'
import { AUTHOR, DEVICE, type Step } from './histories.ts'
import { encodePack } from './packs.ts'

export const clock = { track: <T>(work: Promise<T>): Promise<T> => work }

/** Options whose problems are collected. */
export function options(more: Partial<RepositoryOptions> = {}): RepositoryOptions & { readonly problems: JamiError[] } {
  const problems: JamiError[] = []
  return { clock, authorOf: async () => AUTHOR, onProblem: (error) => problems.push(error), seed: 99, problems, ...more }
}

export interface Made {
  readonly commit: NewCommit
  /** The commit first; tree and file where they are new. */
  readonly objects: readonly GitObject[]
}

/** As long, and as little compressible, as one of RSA-4096. */
const signature = (text: string) => concatBytes(...Array.from({ length: 8 }, (_, i) => sha512(utf8(`${text} ${i}`))))

/** Commit `n` of a history; every tenth brings a file. @param salt makes it another one */
export function make(n: number, parents: readonly Oid[], timeS = 1_700_000_000 + n, salt = ''): Made {
  const files = new Map<string, Oid>()
  const objects: GitObject[] = []
  for (let i = 0; i <= n; i += 10) {
    const blob: GitObject = { type: 'blob', data: utf8(`certificate ${i} ${'x'.repeat(i % 97)}\n`) }
    files.set(`devices/${i}.crt`, objectId(blob))
    if (i === n) objects.push(blob)
  }
  const { root, objects: trees } = buildTrees(files)
  if (n % 10 === 0) objects.push(...trees)
  const unsigned = unsignedCommit({ tree: root, parents, name: 'Alice', device: DEVICE, timeS, message: `{"body":"message ${n}${salt}","type":"text/plain"}` })
  const data = signedCommit(unsigned, signature(`${n}${salt}`))
  const object: GitObject = { type: 'commit', data }
  return { commit: { oid: objectId(object), tree: root, parents, timeS, author: AUTHOR, device: DEVICE }, objects: [object, ...objects] }
}

/** One after the other. */
export function chain(count: number): Made[] {
  const out: Made[] = []
  for (let n = 0; n < count; n++) out.push(make(n, n === 0 ? [] : [(out[n - 1] as Made).commit.oid]))
  return out
}

/** A random history as real commits; each brings what it needs. */
export function real(history: readonly Step[]): Made[] {
  const out: Made[] = []
  for (const [n, { parents, timeS }] of history.entries()) {
    const made = make(n, parents.map((p) => (out[p] as Made).commit.oid), timeS)
    out.push({ commit: made.commit, objects: [...made.objects, ...all(n)] })
  }
  return out
}

function all(n: number): GitObject[] {
  const own = make(n - (n % 10), []).objects.slice(1)
  return n % 10 === 0 ? [] : own
}

export const advance = (made: readonly Made[], head: Oid | undefined = made.at(-1)?.commit.oid): Advance & { head: Oid } => ({ commits: made.map((m) => m.commit), objects: made.flatMap((m) => m.objects), head: head as Oid })

/** As it comes from a peer. */
export async function received(objects: readonly GitObject[], files: FileTree, path = 'jamikit/incoming-1', pack: Uint8Array = encodePack(objects)): Promise<ReceivedPack> {
  const reader = new PackReader({ clock, scratch: { files, path } })
  for (let at = 0; at < pack.length; at += 60_000) await reader.push(pack.subarray(at, at + 60_000))
  return reader.finish()
}

export const unique = (objects: readonly GitObject[]): GitObject[] => [...new Map(objects.map((o) => [objectId(o), o])).values()]
