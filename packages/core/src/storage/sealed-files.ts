// Files of a sealed storage over the files of another one: same calls, sealed names and contents. Everything about one file happens in
// the order of the calls. A move seals anew, as a file is bound to its place; what a crash left of one is finished at the next opening.
// Proof: storage/sealed-storage.test.ts, storage/storage.test.ts with testing/suites/storage.ts.
import { JamiError } from '../base/errors.ts'
import { concatBytes, joinBytes } from '../codec/bytes.ts'
import type { FileTree } from '../contracts/storage.ts'
import { AppendGroups } from './append-groups.ts'
import { isWithin, PathQueue } from './path-queue.ts'
import type { SealKeys } from './seal-keys.ts'
import { BLOCK, BLOCK_PLAIN, blockStart, corruptFile, findEnd, framesIn, HEAD, HEADER, makeHeader, openFile, openFrame, openHeader, readHead, type SealedFile, sealFrames } from './sealed-file.ts'

/** Files whose key and end are remembered; the one not used for longest is forgotten first. */
const MAX_KNOWN = 256
/** No path of a file: all moves wait for one another. */
const MOVES = '/moves'
/** What is read or sealed at a time. */
const PIECE_BLOCKS = 16

/** Records about files, kept by the sealed storage. */
export interface FileNotes {
  /** A move under way, so that it is finished after a crash. */
  setMove(move: { from: string; to: string } | undefined): Promise<void>
  /** The size below which a file that was appended to must not be; undefined takes the note away. */
  setLeast(sizes: readonly { path: string; size: number | undefined }[]): Promise<void>
}

export class SealedFiles {
  readonly #inner: FileTree
  readonly #keys: SealKeys
  readonly #notes: FileNotes
  readonly #queue = new PathQueue()
  readonly #groups = new AppendGroups(this.#queue, (path, parts, durable) => this.#append(path, parts, durable))
  readonly #known = new Map<string, SealedFile>() // bounded by MAX_KNOWN
  readonly #names = new Map<string, string>() // bounded by MAX_KNOWN
  /** As noted on disk. Bounded by the files that were appended to. */
  readonly #least: Map<string, number>
  /** What was made durable since. Bounded by the files that were appended to. */
  readonly #durable = new Map<string, number>()
  #move: { from: string; to: string } | undefined
  #moving: Promise<void> | undefined
  #drafts = 0

  constructor(inner: FileTree, keys: SealKeys, notes: FileNotes, least: Map<string, number>) {
    this.#inner = inner
    this.#keys = keys
    this.#notes = notes
    this.#least = least
  }

  async start(move: { from: string; to: string } | undefined): Promise<void> {
    await this.#inner.remove('draft')
    this.#move = move
    await this.#finishMove()
  }

  async close(): Promise<void> {
    await this.#queue.idle()
    await this.#notes.setLeast([...this.#durable].map(([path, size]) => ({ path, size })))
  }

  read(path: string): Promise<Uint8Array | undefined> {
    return this.#run(path, async () => {
      const bytes = await this.#inner.read(this.#sealed(path))
      if (!bytes) return undefined
      const plain = openFile(this.#keys.files, path, bytes)
      this.#checkLeast(path, plain.length)
      return plain
    })
  }

  readRange(path: string, start: number, length: number): Promise<Uint8Array | undefined> {
    return this.#run(path, async () => {
      const file = await this.#find(path)
      if (!file) return undefined
      const end = Math.min(file.size, start + length)
      return end <= start ? new Uint8Array(0) : this.#part(path, file, start, end)
    })
  }

  write(path: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    const own = new Uint8Array(bytes)
    this.#groups.endGroup(path)
    return this.#run(path, async () => {
      const { key, header } = makeHeader(this.#keys.files, path, own.length)
      await this.#forget([path])
      await this.#inner.write(this.#sealed(path), concatBytes(header, sealFrames(key, HEADER, 0, own)), { durable })
    })
  }

  append(path: string, bytes: Uint8Array, durable: boolean): Promise<number> {
    return this.#groups.append(path, new Uint8Array(bytes), durable)
  }

  async #append(path: string, parts: readonly Uint8Array[], durable: boolean): Promise<number> {
    await this.#finishMove([path])
    const name = this.#sealed(path)
    const file = (await this.#find(path)) ?? (await this.#make(path))
    const bytes = joinBytes(parts)
    const frames = sealFrames(file.key, file.end, file.size, bytes)
    this.#known.delete(path) // a failure leaves who knows what
    if (file.torn) await this.#inner.truncate(name, file.end)
    file.torn = false
    await this.#inner.append(name, frames, { durable })
    file.end += frames.length
    file.size += bytes.length
    this.#remember(path, file)
    if (durable) this.#durable.set(path, file.size)
    return file.size
  }

  async #make(path: string): Promise<SealedFile> {
    const { key, header } = makeHeader(this.#keys.files, path, 0)
    await this.#inner.write(this.#sealed(path), header)
    return { key, written: 0, end: HEADER, size: 0, torn: false }
  }

  flush(path: string): Promise<void> {
    this.#groups.endGroup(path)
    return this.#run(path, async () => {
      await this.#inner.flush(this.#sealed(path))
      const file = this.#known.get(path)
      if (file && this.#durable.has(path)) this.#durable.set(path, file.size)
    })
  }

  size(path: string): Promise<number | undefined> {
    return this.#run(path, async () => (await this.#find(path))?.size)
  }

  truncate(path: string, size: number): Promise<void> {
    this.#groups.endGroup(path)
    return this.#run(path, async () => {
      const file = await this.#find(path)
      if (!file) throw new JamiError('ERR_NOT_FOUND', `file ${path}: not there`)
      if (size >= file.size) return
      await this.#forget([path])
      const at = size >= file.written ? await this.#boundary(path, file, size) : undefined
      if (at !== undefined) await this.#inner.truncate(this.#sealed(path), at)
      else await this.#reseal(path, file, size, path)
    })
  }

  async list(path: string): Promise<string[]> {
    return this.#run(path, async () => {
      const names: string[] = []
      for (const name of await this.#inner.list(this.#sealed(path))) {
        const directory = name.endsWith('/')
        const plain = this.#keys.openName(directory ? name.slice(0, -1) : name)
        if (plain !== undefined) names.push(directory ? `${plain}/` : plain) // else: no file of ours
      }
      return names
    })
  }

  /** One at a time. When it fails half way, whatever touches these places next finishes it first. */
  rename(from: string, to: string): Promise<void> {
    return this.#runOnTrees([from, to, MOVES], async () => {
      await this.#finishMove()
      const isFile = (await this.#inner.size(this.#sealed(from))) !== undefined
      if (!isFile && (await this.#filesBelow(from)).length === 0) throw new JamiError('ERR_NOT_FOUND', `file ${from}: not there`)
      if (isFile && from === to) return
      if (!isFile && isWithin(to, from)) throw new JamiError('ERR_ARGUMENT', `rename target ${to}: got a place inside the source, allowed another one`)
      const taken = (await this.#inner.list(this.#sealed(to))).length > 0 || (!isFile && (await this.#inner.size(this.#sealed(to))) !== undefined)
      if (taken) throw new JamiError('ERR_ARGUMENT', `rename target ${to}: got something there, allowed ${isFile ? 'a file or nothing' : 'nothing'}`)
      await this.#notes.setMove({ from, to })
      this.#move = { from, to }
      await this.#finishMove()
    })
  }

  remove(path: string): Promise<void> {
    return this.#runOnTrees([path], async () => {
      await this.#forget([...new Set([...this.#least.keys(), ...this.#durable.keys(), ...this.#known.keys()])].filter((name) => isWithin(name, path)))
      await this.#inner.remove(this.#sealed(path))
    })
  }

  #sealed(path: string): string {
    const known = this.#names.get(path)
    if (known !== undefined) return known
    const name = `files/${this.#keys.sealPath(path)}`
    this.#names.set(path, name)
    for (const old of this.#names.keys()) {
      if (this.#names.size <= MAX_KNOWN) break
      this.#names.delete(old)
    }
    return name
  }

  #run<T>(path: string, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(path, async () => {
      await this.#finishMove([path])
      return work()
    })
  }

  #runOnTrees<T>(paths: readonly string[], work: () => Promise<T>): Promise<T> {
    this.#groups.endGroupsBelow(paths)
    return this.#queue.runOnTrees(paths, async () => {
      await this.#finishMove(paths)
      return work()
    })
  }

  /** Does what is left of a move under way, if it touches one of these paths (or at all). */
  async #finishMove(paths?: readonly string[]): Promise<void> {
    if (!this.#move) return
    const { from, to } = this.#move
    if (paths && !paths.some((path) => [from, to].some((top) => isWithin(path, top) || isWithin(top, path)))) return
    this.#moving ??= this.#doMove(from, to).finally(() => {
      this.#moving = undefined
    })
    await this.#moving
  }

  async #doMove(from: string, to: string): Promise<void> {
    const names = (await this.#inner.size(this.#sealed(from))) !== undefined ? [from] : await this.#filesBelow(from)
    for (const name of names) {
      const target = to + name.slice(from.length)
      const file = await this.#load(name)
      await this.#forget([name, target])
      if (file) await this.#reseal(name, file, file.size, target)
      await this.#inner.remove(this.#sealed(name))
    }
    await this.#inner.remove(this.#sealed(from))
    await this.#notes.setMove(undefined)
    this.#move = undefined
  }

  async #filesBelow(directory: string): Promise<string[]> {
    const out: string[] = []
    for (const name of await this.#inner.list(this.#sealed(directory))) {
      const plain = this.#keys.openName(name.replace(/\/$/, ''))
      if (plain === undefined) continue
      if (name.endsWith('/')) out.push(...(await this.#filesBelow(`${directory}/${plain}`)))
      else out.push(`${directory}/${plain}`)
    }
    return out
  }

  /** The first `size` bytes of a file, sealed for `target` and put there in one step, in pieces. */
  async #reseal(path: string, file: SealedFile, size: number, target: string): Promise<void> {
    const draft = `draft/${this.#keys.sealPath('draft')}${this.#drafts++}`
    const { key, header } = makeHeader(this.#keys.files, target, size)
    try {
      await this.#inner.write(draft, header, { durable: false })
      let end = HEADER
      for (let at = 0; at < size; ) {
        const plain = await this.#part(path, file, at, Math.min(size, at + PIECE_BLOCKS * BLOCK_PLAIN))
        const frames = sealFrames(key, end, at, plain)
        await this.#inner.append(draft, frames, { durable: false })
        end += frames.length
        at += plain.length
      }
      await this.#inner.flush(draft)
      await this.#inner.rename(draft, this.#sealed(target))
    } catch (error) {
      await this.#inner.remove(draft).catch(() => {}) // else at the next opening
      throw error
    }
  }

  async #find(path: string): Promise<SealedFile | undefined> {
    const file = this.#known.get(path) ?? (await this.#load(path))
    if (file) this.#remember(path, file)
    return file
  }

  async #load(path: string): Promise<SealedFile | undefined> {
    const name = this.#sealed(path)
    const header = await this.#inner.read(name, { start: 0, length: HEADER })
    if (!header) return undefined
    const { key, written } = openHeader(this.#keys.files, path, header)
    const length = (await this.#inner.size(name)) ?? 0
    let found: { end: number; size: number } | undefined
    for (let block = Math.floor(Math.max(0, length - 1) / BLOCK); block >= 0 && !found; block--) {
      const start = blockStart(block)
      found = findEnd(path, key, (await this.#inner.read(name, { start, length: (block + 1) * BLOCK - start })) ?? new Uint8Array(0), start)
    }
    const file: SealedFile = { key, written, end: HEADER, size: 0, torn: false, ...found }
    file.torn = length > file.end
    if (file.size < written) throw corruptFile(path, `it was cut: got ${file.size} bytes, written ${written}`)
    this.#checkLeast(path, file.size)
    return file
  }

  #checkLeast(path: string, size: number): void {
    const least = Math.max(this.#least.get(path) ?? 0, this.#durable.get(path) ?? 0)
    if (size < least) throw corruptFile(path, `it was cut: got ${size} bytes, had ${least}`)
  }

  #remember(path: string, file: SealedFile): void {
    this.#known.delete(path)
    this.#known.set(path, file)
    for (const name of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break
      this.#known.delete(name)
    }
  }

  /** Before these files are replaced, cut or removed. */
  async #forget(paths: readonly string[]): Promise<void> {
    const noted = paths.filter((path) => this.#least.has(path))
    if (noted.length > 0) await this.#notes.setLeast(noted.map((path) => ({ path, size: undefined })))
    for (const path of paths) {
      this.#known.delete(path)
      this.#durable.delete(path)
      this.#least.delete(path)
    }
  }

  /** The owner's bytes from `from` to `to`, both inside the file. */
  async #part(path: string, file: SealedFile, from: number, to: number): Promise<Uint8Array> {
    const name = this.#sealed(path)
    const out = new Uint8Array(to - from)
    let at = from
    for (let block = await this.#blockOf(path, file, from); at < to && blockStart(block) < file.end; ) {
      const blocks = Math.min(PIECE_BLOCKS, Math.ceil((to - at) / BLOCK_PLAIN))
      const start = blockStart(block)
      const bytes = (await this.#inner.read(name, { start, length: Math.min(file.end, (block + blocks) * BLOCK) - start })) ?? new Uint8Array(0)
      for (const frame of framesIn(path, undefined, bytes, start)) {
        if (frame.offset + frame.length <= at) continue
        if (frame.offset >= to) break
        const plain = frame.offset <= at ? openFrame(file.key, bytes, start, frame) : undefined
        if (!plain) throw corruptFile(path, `damaged frame at byte ${frame.position}`)
        const part = plain.subarray(at - frame.offset, to - frame.offset)
        out.set(part, at - from)
        at += part.length
      }
      block += blocks
    }
    if (at < to) throw corruptFile(path, `got ${at} bytes, had ${to}`)
    return out
  }

  /** The last block whose first frame begins at or before this byte of the owner's. */
  async #blockOf(path: string, file: SealedFile, offset: number): Promise<number> {
    let low = 0
    let high = Math.ceil(file.end / BLOCK)
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      const position = middle * BLOCK
      const head = readHead(path, file.key, (await this.#inner.read(this.#sealed(path), { start: position, length: HEAD })) ?? new Uint8Array(0), position)
      if (!head) throw corruptFile(path, `no frame at byte ${position}`)
      if (head.offset <= offset) low = middle
      else high = middle
    }
    return low
  }

  /** Where a frame begins with this byte of the owner's, if one does. */
  async #boundary(path: string, file: SealedFile, size: number): Promise<number | undefined> {
    const block = await this.#blockOf(path, file, size)
    const start = blockStart(block)
    const bytes = (await this.#inner.read(this.#sealed(path), { start, length: (block + 1) * BLOCK - start })) ?? new Uint8Array(0)
    for (const frame of framesIn(path, undefined, bytes, start)) if (frame.offset === size && openFrame(file.key, bytes, start, frame)) return frame.position
    return undefined
  }
}
