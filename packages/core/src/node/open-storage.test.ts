import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { utf8 } from '../codec/bytes.ts'
import type { Storage } from '../contracts/storage.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { openStorage } from './open-storage.ts'

const key = new Uint8Array(32).fill(1)
const told = () => {}
let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

describe('storage option', () => {
  it('refuses at the call what is no directory and no storage, and keys that are none', async () => {
    for (const storage of ['', null, 7, {}, ['a'], { get: () => {} }]) await expect(openStorage({ storage: storage as string }, told)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    for (const encryptionKey of [null, 'secret', new Uint8Array(16)]) await expect(openStorage({ storage: directory, encryptionKey: encryptionKey as Uint8Array }, told)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  })

  it('a sealed profile opens with its key only, in a directory and over an adapter; a refused opening gives the profile back', async () => {
    const kept = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
    for (const storage of [() => directory, () => memoryStorage(kept)]) {
      const first = await openStorage({ storage: storage(), encryptionKey: key }, told)
      await first.storage.batch([{ key: 'a', value: utf8('1') }])
      await first.release()
      for (const encryptionKey of [undefined, new Uint8Array(32)]) await expect(openStorage({ storage: storage(), ...(encryptionKey ? { encryptionKey } : {}) }, told)).rejects.toMatchObject({ code: 'ERR_PASSWORD' })
      const again = await openStorage({ storage: storage(), encryptionKey: async () => key }, told)
      expect(await again.storage.get('a')).toEqual(utf8('1'))
      await again.release()
    }
  })

  it('an adapter stays open when the node ends, and is unlocked', async () => {
    const storage: Storage = memoryStorage()
    for (const options of [{}, { encryptionKey: key }]) {
      const { release } = await openStorage({ storage, ...options }, told)
      await expect(storage.lock()).rejects.toMatchObject({ code: 'ERR_STORAGE_LOCKED' })
      await release()
      await (await storage.lock())[Symbol.asyncDispose]()
    }
  })
})
