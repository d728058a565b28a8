// A conversation as a bare git repository on disk, for people and tools. The only user of node:fs in this package.
// docs/protocol/04 §1.1. Proof: conversation/conversations.test.ts (git fsck --strict).
import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { JamiError } from '@jamikit/core/base'
import type { Conversation } from './conversation.ts'

/** @throws ERR_STORAGE_IO */
export async function exportRepository(conversation: Conversation, directory: string): Promise<void> {
  try {
    await mkdir(join(directory, 'refs', 'tags'), { recursive: true, mode: 0o700 })
    await conversation.exportTo(async (path, chunks) => {
      const file = join(directory, path)
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      const handle = await open(file, 'w', 0o600)
      try {
        for await (const chunk of chunks) await handle.writeFile(chunk)
      } finally {
        await handle.close()
      }
    })
  } catch (error) {
    throw JamiError.from(error, 'ERR_STORAGE_IO')
  }
}
