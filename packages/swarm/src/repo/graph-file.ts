// The commit graph on disk: segments of fixed rows, appended; the journal says how much of the file counts. A segment is
//   magic u32 ‖ first row, rows, first author, authors, first tree, trees u32 each ‖ CRC-32 of all but itself ‖ authors (account 20,
//   device 32 bytes) ‖ trees (20) ‖ rows: id 20, parents i32 × 2 (-1 = none), time f64, author u32, tree u32.
// The same segments carry new rows in the journal. Proof: repo/graph-file.test.ts.
import { crc32 } from 'node:zlib'
import { JamiError } from '@jamikit/core/base'
import { fromHex, toHex, utf8 } from '@jamikit/core/codec'
import type { AccountUri, Clock, DeviceId, FileTree } from '@jamikit/core/contracts'
import { SLICE_BYTES } from '../defaults.ts'
import { Turns } from './turns.ts'
import type { Author, CommitGraph, GraphMark } from './graph.ts'

export const GRAPH_PATH = 'jamikit/graph'
/** Folder of what is derived from the order of rows: worth nothing when rows are numbered anew. */
export const DERIVED_PATH = 'jamikit/index'
const HEADER = utf8('jamikit graph 1\n')
const MAGIC = 0x4a475331
const HEAD_BYTES = 32
const CRC_AT = 28
const AUTHOR_BYTES = 52
const TREE_BYTES = 20
const ROW_BYTES = 44
/** Rows of one segment: a slice of work. */
const SEGMENT_ROWS = 8192

function corrupt(what: string): JamiError {
  return new JamiError('ERR_STORAGE_CORRUPT', `commit graph: ${what}`)
}

/** Rows, authors and trees since a mark. */
export function encodeSegment(graph: CommitGraph, from: GraphMark, to: GraphMark): Uint8Array {
  const [authors, trees, rows] = [to.authors - from.authors, to.trees - from.trees, to.rows - from.rows]
  const bytes = new Uint8Array(HEAD_BYTES + authors * AUTHOR_BYTES + trees * TREE_BYTES + rows * ROW_BYTES)
  const view = new DataView(bytes.buffer)
  for (const [i, value] of [MAGIC, from.rows, rows, from.authors, authors, from.trees, trees].entries()) view.setUint32(4 * i, value)
  let at = HEAD_BYTES
  for (const { author, device } of graph.authors.slice(from.authors, to.authors)) {
    bytes.set(fromHex(author), at)
    bytes.set(fromHex(device), at + 20)
    at += AUTHOR_BYTES
  }
  for (let i = from.trees; i < to.trees; i++, at += TREE_BYTES) bytes.set(graph.trees.bytes(i), at)
  for (let row = from.rows; row < to.rows; row++, at += ROW_BYTES) {
    bytes.set(graph.commits.bytes(row), at)
    view.setInt32(at + 20, graph.parent(row))
    view.setInt32(at + 24, graph.otherParent(row))
    view.setFloat64(at + 28, graph.time(row))
    view.setUint32(at + 36, graph.authorOf(row))
    view.setUint32(at + 40, graph.treeOf(row))
  }
  view.setUint32(CRC_AT, crc32(bytes.subarray(HEAD_BYTES), crc32(bytes.subarray(0, CRC_AT))))
  return bytes
}

/** Appends a segment's rows unless they are there already. @returns where the next one begins @throws ERR_STORAGE_CORRUPT */
export function decodeSegment(bytes: Uint8Array, start: number, graph: CommitGraph): number {
  if (start + HEAD_BYTES > bytes.length) throw corrupt('truncated')
  const view = new DataView(bytes.buffer, bytes.byteOffset + start)
  const field = (i: number) => view.getUint32(4 * i)
  const [firstRow, rows, firstAuthor, authors, firstTree, trees] = [field(1), field(2), field(3), field(4), field(5), field(6)]
  const end = start + HEAD_BYTES + authors * AUTHOR_BYTES + trees * TREE_BYTES + rows * ROW_BYTES
  if (field(0) !== MAGIC || end > bytes.length) throw corrupt('truncated or no segment')
  if (crc32(bytes.subarray(start + HEAD_BYTES, end), crc32(bytes.subarray(start, start + CRC_AT))) !== field(7)) throw corrupt('the checksum is wrong')
  const have = graph.mark()
  if (firstRow + rows <= have.rows) return end
  if (firstRow !== have.rows || firstAuthor !== have.authors || firstTree !== have.trees) throw corrupt(`got rows from ${firstRow}, allowed from ${have.rows}`)
  let at = HEAD_BYTES
  const text = (from: number, length: number) => toHex(bytes.subarray(start + from, start + from + length))
  for (let i = 0; i < authors; i++, at += AUTHOR_BYTES) graph.addAuthor({ author: text(at, 20) as AccountUri, device: text(at + 20, 32) as DeviceId } satisfies Author)
  for (let i = 0; i < trees; i++, at += TREE_BYTES) graph.trees.addBytes(bytes, start + at)
  for (let row = firstRow; row < firstRow + rows; row++, at += ROW_BYTES) {
    const [parent, other, author, tree] = [view.getInt32(at + 20), view.getInt32(at + 24), view.getUint32(at + 36), view.getUint32(at + 40)]
    if (parent >= row || other >= row || author >= graph.authors.length || tree >= graph.trees.size) throw corrupt(`row ${row} points beyond itself`)
    graph.appendRow(bytes, start + at, parent, other, view.getFloat64(at + 28), author, tree)
  }
  return end
}

export class GraphFile {
  readonly #files: FileTree
  readonly #clock: Pick<Clock, 'track'>
  /** Bytes that count. */
  end = 0
  /** The graph as far as it lies in the file. */
  mark: GraphMark = { rows: 0, authors: 0, trees: 0 }

  constructor(files: FileTree, clock: Pick<Clock, 'track'>) {
    this.#files = files
    this.#clock = clock
  }

  /** Appends what the graph has beyond the file, durably; counts only after `commit`. @returns what to commit */
  async append(graph: CommitGraph): Promise<{ end: number; mark: GraphMark }> {
    const turns = new Turns(this.#clock)
    const size = (await this.#files.size(GRAPH_PATH)) ?? 0
    if (size > this.end) await this.#files.truncate(GRAPH_PATH, this.end) // of an append that did not count
    let end = this.end
    if (end === 0) end = await this.#files.append(GRAPH_PATH, HEADER, { durable: false })
    const last = graph.mark()
    for (let from = this.mark; from.rows < last.rows; ) {
      const to = last.rows - from.rows <= SEGMENT_ROWS ? last : { ...last, rows: from.rows + SEGMENT_ROWS }
      end = await this.#files.append(GRAPH_PATH, encodeSegment(graph, from, to), { durable: to === last })
      await turns.spend(SLICE_BYTES)
      from = to
    }
    return { end, mark: last }
  }

  commit({ end, mark }: { end: number; mark: GraphMark }): void {
    this.end = end
    this.mark = mark
  }

  /** @throws ERR_STORAGE_CORRUPT when less is there than counts, or it is damaged */
  async load(graph: CommitGraph, end: number): Promise<void> {
    if (end > 0) {
      const turns = new Turns(this.#clock)
      const bytes = await this.#files.read(GRAPH_PATH, { start: 0, length: end })
      if (bytes?.length !== end) throw corrupt(`got ${bytes?.length ?? 0} bytes, allowed ${end}`)
      for (let at = HEADER.length; at < end; ) {
        at = decodeSegment(bytes, at, graph)
        await turns.spend(SLICE_BYTES)
      }
    }
    this.commit({ end, mark: graph.mark() })
  }
}
