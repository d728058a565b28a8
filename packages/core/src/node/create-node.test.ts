// What the composition root does with its options before and beside protocol work.
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { utf8 } from '../codec/bytes.ts'
import { systemClock } from '../io/system-clock.ts'
import { fileStorage } from '../storage/file-storage.ts'
import { FakeDhtNetwork } from '../testing/fake-dht.ts'
import { recordingLogger } from '../testing/recording-logger.ts'
import { testCrypto } from '../testing/test-crypto.ts'
import type { NodeOptions } from './api-node.ts'
import { createJamiNode } from './create-node.ts'

let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

function options(rest: Partial<NodeOptions>): NodeOptions {
  const none = () => {
    throw new Error('no accounts here')
  }
  const dht = () => new FakeDhtNetwork({ clock: systemClock(), crypto: testCrypto() }).node() as unknown as ReturnType<NodeOptions['modules']['dht']>
  return { network: { bootstrap: [] }, modules: { dht, connections: none, conversations: none }, ...rest }
}

describe('createJamiNode and its storage', () => {
  it('a damaged part of the record log is an `error` event for whoever listens once the node is there', async () => {
    const storage = fileStorage(directory)
    for (const key of ['a', 'b', 'c']) await storage.batch([{ key, value: utf8(key) }])
    await storage.close()
    const path = join(directory, 'records.log')
    const bytes = await readFile(path)
    bytes[60] = (bytes[60] ?? 0) ^ 1
    await writeFile(path, bytes)
    const node = await createJamiNode(options({ storage: directory }))
    const { error, source } = await node.once('error')
    expect([error.code, source]).toEqual(['ERR_STORAGE_CORRUPT', 'storage'])
    await node.close()
    expect((await readdir(directory)).filter((name) => name.startsWith('lock'))).toEqual([])
  })

  it.skipIf(process.platform === 'win32')('a profile that others can write to is a warning', async () => {
    await chmod(directory, 0o777)
    const logger = recordingLogger()
    const node = await createJamiNode(options({ storage: directory, logger }))
    await node.close()
    expect(logger.entries.filter(({ level }) => level === 'warn')).toHaveLength(1)
  })

  it.each([{ storage: '' }, { storage: 5 as unknown as string }, { encryptionKey: new Uint8Array(31) }, { encryptionKey: 'x'.repeat(32) as unknown as Uint8Array }])('refuses %j with ERR_ARGUMENT', async (bad) => {
    await expect(createJamiNode(options(bad))).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  })
})
