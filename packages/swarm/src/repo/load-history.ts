// What a history's private folder says at opening: the graph file as far as it counts, then the tail of the journal.
// Proof: repo/repository.test.ts, repo/damage.test.ts, repo/crash.test.ts.
import { JamiError } from '@jamikit/core/base'
import type { Clock, FileTree } from '@jamikit/core/contracts'
import { inflateExactly } from '../sync/inflate.ts'
import { CommitGraph } from './graph.ts'
import { decodeSegment, GraphFile } from './graph-file.ts'
import { damagedObject, Journal, JOURNAL_PATH } from './journal.ts'
import { type GraphCheckpoint, type JournalObject, replayJournal } from './journal-format.ts'
import { objectId, type Oid } from './object.ts'

export interface LoadedHistory {
  readonly journal: Journal
  /** Undefined before the first change. */
  readonly head: Oid | undefined
  /** Undefined when it has to be made anew. */
  readonly graph: CommitGraph | undefined
  readonly graphFile: GraphFile | undefined
}

/** Undefined without a journal. @throws ERR_STORAGE_CORRUPT when the journal cannot be told apart */
export async function loadHistory(files: FileTree, seed: number, clock: Pick<Clock, 'track'>, onProblem: (error: JamiError) => void): Promise<LoadedHistory | undefined> {
  const bytes = await files.read(JOURNAL_PATH)
  if (!bytes) return undefined
  const objects = new Map<Oid, JournalObject>() // bounded by sealing
  const segments: Uint8Array[] = []
  let head: Oid | undefined
  let checkpoint: GraphCheckpoint = { bytes: 0, rows: 0 }
  const { end, damaged, frames } = replayJournal(bytes, {
    object: (oid, object) => objects.set(oid, object),
    rows: (segment) => segments.push(segment),
    head: (oid) => {
      head = oid
    },
    checkpoint: (found) => {
      checkpoint = found
    },
  })
  const journal = new Journal(files, objects, end, bytes.length, frames)
  if (damaged > 0) {
    onProblem(new JamiError('ERR_STORAGE_CORRUPT', `history journal: ${damaged} damaged`, { details: { damaged } }))
    for (const [oid, { type, size, at, length }] of [...objects]) {
      const data = await inflateExactly(clock, bytes.subarray(at, at + length), size).then((found) => found.data, () => undefined)
      if (data && objectId({ type, data }) === oid) continue
      onProblem(damagedObject(oid))
      journal.forget(oid)
    }
  }
  const graph = new CommitGraph(seed)
  const graphFile = new GraphFile(files, clock)
  try {
    await graphFile.load(graph, checkpoint.bytes)
    for (const segment of segments) decodeSegment(segment, 0, graph)
    graph.publish()
    return { journal, head, graph, graphFile }
  } catch (error) {
    if (!JamiError.is(error, 'ERR_STORAGE_CORRUPT')) throw error
    onProblem(error)
    return { journal, head, graph: undefined, graphFile: undefined }
  }
}
