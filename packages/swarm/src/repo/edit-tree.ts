// Reading and changing a few files of a tree: only the directories on their way are read and made anew. docs/protocol/04 §2. Proof: repo/edit-tree.test.ts.
import { BLOB_MODE, decodeTree, encodeTree, type GitObject, objectId, type Oid, repoInvalid, TREE_MODE, type TreeEntry } from './object.ts'
import type { ObjectReader } from './types.ts'

type Edits = ReadonlyMap<string, Oid | undefined>

/** @param edits path → new blob, or undefined to take the file away @returns the new root, and the trees that are new */
export async function editTree(reader: Pick<ObjectReader, 'read'>, root: Oid | undefined, edits: Edits): Promise<{ root: Oid; objects: GitObject[] }> {
  const objects: GitObject[] = []
  const edit = async (tree: Oid | undefined, changes: Edits): Promise<Oid | undefined> => {
    const object = tree === undefined ? undefined : await reader.read(tree)
    if (tree !== undefined && object?.type !== 'tree') throw repoInvalid(`tree ${tree} is ${object ? `a ${object.type}` : 'missing'}`)
    const entries = new Map<string, TreeEntry>(object ? decodeTree(object.data).map((entry) => [entry.name, entry]) : [])
    const inner = new Map<string, Map<string, Oid | undefined>>()
    for (const [path, oid] of changes) {
      const slash = path.indexOf('/')
      if (slash >= 0) {
        const name = path.slice(0, slash)
        inner.set(name, (inner.get(name) ?? new Map()).set(path.slice(slash + 1), oid))
      } else if (oid === undefined) entries.delete(path)
      else entries.set(path, { mode: BLOB_MODE, name: path, oid })
    }
    for (const [name, below] of inner) {
      const old = entries.get(name)
      const oid = await edit(old?.mode === TREE_MODE ? old.oid : undefined, below)
      if (oid === undefined) entries.delete(name)
      else entries.set(name, { mode: TREE_MODE, name, oid })
    }
    if (entries.size === 0) return undefined // git keeps no empty directories
    const made: GitObject = { type: 'tree', data: encodeTree([...entries.values()]) }
    const oid = objectId(made)
    if (oid !== tree) objects.push(made)
    return oid
  }
  const made = await edit(root, edits)
  if (made !== undefined) return { root: made, objects }
  const empty: GitObject = { type: 'tree', data: new Uint8Array(0) }
  const oid = objectId(empty)
  return { root: oid, objects: oid === root ? [] : [empty] }
}

/** A file of a tree; undefined when there is none. */
export async function readFile(reader: Pick<ObjectReader, 'read'>, root: Oid, path: string): Promise<GitObject | undefined> {
  let at: GitObject | undefined = await reader.read(root)
  for (const name of path.split('/')) {
    const entry = at?.type === 'tree' ? decodeTree(at.data).find((e) => e.name === name) : undefined
    at = entry && (await reader.read(entry.oid))
  }
  return at?.type === 'blob' ? at : undefined
}
