// A conversation as a bare git repository on disk, for people and tools. The only user of node:fs in this package.
// docs/protocol/04 §1.1. Proof: conversation/conversations.test.ts (git fsck --strict).
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { encodeLoose, objectId } from '../repo/object.ts'
import type { Repository } from '../repo/repository.ts'
import { objectsFor } from '../sync/upload-pack.ts'

export async function exportRepository(repository: Repository, directory: string): Promise<void> {
  const write = async (path: string, data: Uint8Array | string): Promise<void> => {
    const file = join(directory, path)
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeFile(file, data, { mode: 0o600 })
  }
  await mkdir(join(directory, 'refs', 'tags'), { recursive: true, mode: 0o700 })
  for (const object of await objectsFor(repository, repository.head, [])) {
    const oid = objectId(object)
    await write(`objects/${oid.slice(0, 2)}/${oid.slice(2)}`, encodeLoose(object))
  }
  await write('config', '[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n')
  await write('refs/heads/main', `${repository.head}\n`)
  await write('HEAD', 'ref: refs/heads/main\n')
}
