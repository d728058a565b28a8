// Both storages by the contract suite.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { storageSuite } from '../testing/suites/storage.ts'
import { fileStorage } from './file-storage.ts'
import { memoryStorage } from './memory-storage.ts'

describe('memoryStorage', () => {
  for (const { title, run } of storageSuite(() => ({ storage: memoryStorage() }))) it(title, run)
})

describe('fileStorage', () => {
  const make = async () => {
    const directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
    let storage = fileStorage(directory)
    return {
      storage,
      async reopen() {
        await storage.close()
        storage = fileStorage(directory)
        return storage
      },
      async dispose() {
        await storage.close()
        await rm(directory, { recursive: true, force: true })
      },
    }
  }
  for (const { title, run } of storageSuite(make)) it(title, run, 30_000)
})
