// A bare git repository made of a history that lies where git cannot read it (memory, sealed storage). docs/protocol/04 §1.1.
// Proof: repo/repository.test.ts (git fsck --strict).
import type { FileTree } from '@jamikit/core/contracts'
import { CONFIG, HEAD, MAIN, mainRef } from './git-folder.ts'
import type { Oid } from './object.ts'
import type { PackStore } from './pack-store.ts'

const READ_BYTES = 1 << 20

/** Sealed: everything is in packs or loose. */
export interface ExportedHistory {
  readonly files: FileTree
  readonly packs: PackStore
  readonly head: Oid
}

export async function exportFolder({ files, packs, head }: ExportedHistory, write: (path: string, chunks: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
  async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    yield bytes
  }
  async function* copied(path: string): AsyncGenerator<Uint8Array> {
    for (let start = 0; ; start += READ_BYTES) {
      const chunk = await files.read(path, { start, length: READ_BYTES })
      if (chunk && chunk.length > 0) yield chunk
      if (!chunk || chunk.length < READ_BYTES) return
    }
  }
  await packs.rest()
  for (const pack of packs.packs) {
    for (const path of [pack.path, pack.indexPath]) await write(path, copied(path))
  }
  for await (const path of packs.loosePaths()) await write(path, copied(path))
  await write('config', once(CONFIG))
  await write(MAIN, once(mainRef(head)))
  await write('HEAD', once(HEAD))
}
