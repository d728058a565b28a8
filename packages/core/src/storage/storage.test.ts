// All storages by the contract suite.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { storageSuite } from '../testing/suites/storage.ts'
import { fileStorage } from './file-storage.ts'
import { memoryStorage } from './memory-storage.ts'
import { sealedStorage } from './sealed-storage.ts'

describe('memoryStorage', () => {
  for (const { title, run } of storageSuite(() => ({ storage: memoryStorage() }))) it(title, run)
})

const key = new Uint8Array(32).fill(7)

describe('sealedStorage in memory', () => {
  const make = () => {
    const contents = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
    const storage = sealedStorage(memoryStorage(contents), key)
    return {
      storage,
      async reopen() {
        await storage.close()
        return sealedStorage(memoryStorage(contents), async () => key)
      },
    }
  }
  for (const { title, run } of storageSuite(make)) it(title, run)
})

describe.each([
  ['fileStorage', (directory: string) => fileStorage(directory)],
  ['sealedStorage on disk', (directory: string) => sealedStorage(fileStorage(directory), key)],
])('%s', (_, opened) => {
  const make = async () => {
    const directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
    let storage = opened(directory)
    return {
      storage,
      async reopen() {
        await storage.close()
        storage = opened(directory)
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
