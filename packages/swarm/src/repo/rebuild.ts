// The commit graph made anew from the objects: when it was lost or damaged, or there never was one (profiles of older versions, a folder
// written by git). Reads every commit of main once. docs/protocol/04 §1.1. Proof: repo/repository.test.ts.
import { JamiError } from '@jamikit/core/base'
import type { AccountUri, Clock } from '@jamikit/core/contracts'
import { Turns } from './turns.ts'
import { type Commit, parseCommit } from './commit.ts'
import { CommitGraph } from './graph.ts'
import type { Oid } from './object.ts'
import type { NewCommit, ObjectReader } from './types.ts'

/** The account that wrote a commit, told by the certificates in its trees; undefined when it cannot be told. */
export type AuthorOf = (commit: Commit, reader: ObjectReader) => Promise<AccountUri | undefined>

/** @throws ERR_STORAGE_CORRUPT when a commit is missing, damaged, or of an unknown author */
export async function rebuildGraph(reader: ObjectReader, head: Oid, authorOf: AuthorOf, seed: number, clock: Pick<Clock, 'track'>): Promise<CommitGraph> {
  const graph = new CommitGraph(seed)
  const turns = new Turns(clock)
  const read = new Map<Oid, NewCommit>() // on the way down; bounded by the history
  const open = [head]
  while (open.length > 0) {
    const oid = open.at(-1) as Oid
    const known = read.get(oid)
    if (graph.commits.find(oid) >= 0) open.pop()
    else if (known) {
      graph.append(known)
      read.delete(oid)
      open.pop()
    } else {
      const commit = await readCommit(reader, oid)
      const author = await authorOf(commit, reader)
      if (author === undefined) throw new JamiError('ERR_STORAGE_CORRUPT', `commit ${oid}: its author cannot be told`, { details: { oid } })
      read.set(oid, { oid, tree: commit.tree, parents: commit.parents, timeS: commit.committerTimeS, author, device: commit.device })
      open.push(...[...commit.parents].reverse())
      const pause = turns.object(1000)
      if (pause) await pause
    }
  }
  graph.publish()
  return graph
}

/** @throws ERR_STORAGE_CORRUPT */
export async function readCommit(reader: Pick<ObjectReader, 'read'>, oid: Oid): Promise<Commit> {
  const object = await reader.read(oid)
  if (object?.type !== 'commit') throw new JamiError('ERR_STORAGE_CORRUPT', `commit ${oid} is ${object ? `a ${object.type}` : 'missing'}`, { details: { oid } })
  try {
    return parseCommit(object.data)
  } catch (cause) {
    throw new JamiError('ERR_STORAGE_CORRUPT', `commit ${oid} cannot be read`, { cause, details: { oid } })
  }
}
