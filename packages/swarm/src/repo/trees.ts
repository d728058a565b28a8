// Trees as paths: all files of a tree by path, and tree objects for a set of paths. Pure. docs/protocol/04 §2.
// Proof: repo/trees.test.ts.
import { limitError } from '@jamikit/core/base'
import { MAX_TREE_DEPTH, MAX_TREE_ENTRIES } from '../defaults.ts'
import { BLOB_MODE, decodeTree, encodeTree, type GitObject, objectId, type Oid, repoInvalid, TREE_MODE, type TreeEntry } from './object.ts'

/** Path → blob. */
export type Paths = ReadonlyMap<string, Oid>
export type ReadObject = (oid: Oid) => Promise<GitObject | undefined>

/** Files of a tree by path. @throws ERR_REPO_INVALID when something is missing or of the wrong kind, ERR_LIMIT */
export async function flatten(read: ReadObject, tree: Oid): Promise<Map<string, Oid>> {
  const out = new Map<string, Oid>()
  const walk = async (oid: Oid, prefix: string, depth: number): Promise<void> => {
    if (depth > MAX_TREE_DEPTH) throw limitError('tree depth', depth, MAX_TREE_DEPTH)
    const object = await read(oid)
    if (object?.type !== 'tree') throw repoInvalid(`tree ${oid} is ${object ? `a ${object.type}` : 'missing'}`)
    for (const entry of decodeTree(object.data)) {
      if (entry.mode === TREE_MODE) await walk(entry.oid, `${prefix}${entry.name}/`, depth + 1)
      else out.set(`${prefix}${entry.name}`, entry.oid)
      if (out.size > MAX_TREE_ENTRIES) throw limitError('files of a tree', out.size, MAX_TREE_ENTRIES)
    }
  }
  await walk(tree, '', 1)
  return out
}

/** Tree objects for a set of paths; the first is the root. */
export function buildTrees(paths: Paths): { root: Oid; objects: GitObject[] } {
  const objects: GitObject[] = []
  const build = (entries: readonly [string, Oid][]): Oid => {
    const files: TreeEntry[] = []
    const folders = new Map<string, [string, Oid][]>()
    for (const [path, oid] of entries) {
      const slash = path.indexOf('/')
      if (slash < 0) files.push({ mode: BLOB_MODE, name: path, oid })
      else folders.set(path.slice(0, slash), [...(folders.get(path.slice(0, slash)) ?? []), [path.slice(slash + 1), oid]])
    }
    for (const [name, inner] of folders) files.push({ mode: TREE_MODE, name, oid: build(inner) })
    const object: GitObject = { type: 'tree', data: encodeTree(files) }
    objects.push(object)
    return objectId(object)
  }
  const root = build([...paths])
  return { root, objects }
}
