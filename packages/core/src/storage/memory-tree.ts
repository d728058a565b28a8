// A tree of files in memory: bytes by full name, and beside them who lies in which directory, so that no call looks at all files.
// Proof: storage/storage.test.ts with testing/suites/storage.ts; storage/memory-storage.test.ts.
import { JamiError } from '../base/errors.ts'
import type { FileTree } from '../contracts/storage.ts'
import { checkKey, checkRange, checkSize } from './keys.ts'

/** How far buffers that grow are filled. A copy of a storage shares them, so only the longest view may grow in place. */
const filled = new WeakMap<ArrayBufferLike, number>()

/** `old` with `bytes` after it, mostly without copying `old`. */
function grown(old: Uint8Array, bytes: Uint8Array): Uint8Array {
  const length = old.length + bytes.length
  if (filled.get(old.buffer) === old.length && old.byteOffset === 0 && old.buffer.byteLength >= length) {
    const view = new Uint8Array(old.buffer, 0, length)
    view.set(bytes, old.length)
    filled.set(old.buffer, length)
    return view
  }
  const view = new Uint8Array(new ArrayBuffer(Math.max(64, 2 * length)), 0, length)
  view.set(old)
  view.set(bytes, old.length)
  filled.set(view.buffer, length)
  return view
}

const slashes = function* (name: string): Iterable<number> {
  for (let at = name.indexOf('/'); at > 0; at = name.indexOf('/', at + 1)) yield at
}

/** Which names lie in which directory; made from the files, and made anew when somebody changed those behind its back. */
export class MemoryDirectories {
  readonly #files: Map<string, Uint8Array>
  readonly #inside = new Map<string, Set<string>>() // bounded by the files
  #known = 0

  constructor(files: Map<string, Uint8Array>) {
    this.#files = files
  }

  of(directory: string): ReadonlySet<string> | undefined {
    if (this.#known !== this.#files.size) {
      this.#inside.clear()
      this.#known = 0
      for (const name of this.#files.keys()) this.#note(name)
    }
    return this.#inside.get(directory)
  }

  set(name: string, bytes: Uint8Array): void {
    const fresh = !this.#files.has(name)
    this.#files.set(name, bytes)
    if (fresh) this.#note(name)
  }

  delete(name: string): void {
    if (!this.#files.delete(name)) return
    this.#known--
    let child = name
    for (const at of [...slashes(name)].reverse()) {
      const directory = name.slice(0, at)
      const names = this.#inside.get(directory)
      names?.delete(child.slice(at + 1))
      if (names?.size !== 0) return
      this.#inside.delete(directory)
      child = `${directory}/`
    }
  }

  /** All files below a directory. */
  below(directory: string): string[] {
    const out: string[] = []
    for (const name of this.of(directory) ?? []) {
      if (name.endsWith('/')) out.push(...this.below(`${directory}/${name.slice(0, -1)}`))
      else out.push(`${directory}/${name}`)
    }
    return out
  }

  #note(name: string): void {
    this.#known++
    let from = 0
    for (const at of slashes(name)) {
      this.#add(name.slice(0, Math.max(0, from - 1)), name.slice(from, at + 1))
      from = at + 1
    }
    this.#add(name.slice(0, Math.max(0, from - 1)), name.slice(from))
  }

  #add(directory: string, name: string): void {
    if (directory === '') return // above all trees
    const names = this.#inside.get(directory)
    if (names) names.add(name)
    else this.#inside.set(directory, new Set([name]))
  }
}

/** @param root names begin with it and a slash @param open throws when the storage is closed */
export function memoryTree(files: Map<string, Uint8Array>, directories: MemoryDirectories, root: string, open: () => void): FileTree {
  const full = (path: string) => {
    open()
    checkKey(path, 'file path')
    return `${root}/${path}`
  }
  const checkFree = (name: string) => {
    if (directories.of(name)) throw new JamiError('ERR_ARGUMENT', `file ${name}: got a directory of that name, allowed a file or nothing`)
    for (const at of slashes(name))
      if (files.has(name.slice(0, at))) throw new JamiError('ERR_ARGUMENT', `file ${name}: got a file in the place of a directory, allowed a directory or nothing`)
  }
  return {
    async read(path, range) {
      const file = files.get(full(path))
      if (!range) return file?.slice()
      checkRange(range)
      return file?.slice(range.start, range.start + range.length)
    },
    async write(path, bytes) {
      const name = full(path)
      checkFree(name)
      directories.set(name, new Uint8Array(bytes))
    },
    async append(path, bytes) {
      const name = full(path)
      checkFree(name)
      const file = grown(files.get(name) ?? new Uint8Array(0), bytes)
      directories.set(name, file)
      return file.length
    },
    async flush(path) {
      full(path)
    },
    async size(path) {
      return files.get(full(path))?.length
    },
    async truncate(path, size) {
      const name = full(path)
      checkSize(size)
      const file = files.get(name)
      if (!file) throw new JamiError('ERR_NOT_FOUND', `file ${path}: not there`)
      if (size < file.length) directories.set(name, file.slice(0, size))
    },
    async list(path) {
      const directory = path === '' ? root : full(path)
      open()
      return [...(directories.of(directory) ?? [])]
    },
    async rename(from, to) {
      const source = full(from)
      const target = full(to)
      const file = files.get(source)
      if (file) {
        if (source === target) return
        checkFree(target)
        directories.set(target, file)
        directories.delete(source)
        return
      }
      const moved = directories.below(source)
      if (moved.length === 0) throw new JamiError('ERR_NOT_FOUND', `file ${from}: not there`)
      if (target === source || target.startsWith(`${source}/`)) throw new JamiError('ERR_ARGUMENT', `rename target ${to}: got a place inside the source, allowed another one`)
      if (files.has(target)) throw new JamiError('ERR_ARGUMENT', `rename target ${to}: got a file, allowed nothing there`)
      checkFree(target)
      for (const name of moved) {
        directories.set(target + name.slice(source.length), files.get(name) as Uint8Array)
        directories.delete(name)
      }
    },
    async remove(path) {
      const name = full(path)
      directories.delete(name)
      for (const inside of directories.below(name)) directories.delete(inside)
    },
  }
}
