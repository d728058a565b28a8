// The storage that a node's options ask for: a directory, an adapter or memory, sealed when there is a key; taken for this process.
// Proof: node/open-storage.test.ts, node/create-node.test.ts.
import { JamiError } from '../base/errors.ts'
import type { Storage } from '../contracts/storage.ts'
import { fileStorage } from '../storage/file-storage.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { isSealed, sealedStorage } from '../storage/sealed-storage.ts'
import type { NodeOptions } from './api-node.ts'

const CALLS = ['get', 'batch', 'purge', 'keys', 'files', 'lock', 'close'] as const

/**
 * @param onProblem told of what the owner should know and no call fails for
 * @throws ERR_ARGUMENT, ERR_PASSWORD (sealed, and no key or another one), ERR_STORAGE_LOCKED, ERR_STORAGE_CORRUPT
 */
export async function openStorage(options: Pick<NodeOptions, 'storage' | 'encryptionKey'>, onProblem: (problem: JamiError) => void): Promise<{ storage: Storage; release: () => Promise<void> }> {
  const { storage: given, encryptionKey } = options
  const own = given === undefined || typeof given === 'string'
  if (!own && !isStorage(given)) throw new JamiError('ERR_ARGUMENT', `storage: got ${given === null ? 'null' : typeof given}, allowed the path of a directory or a storage (${CALLS.join(', ')})`)
  const inner = own ? (given === undefined ? memoryStorage() : fileStorage(given, { onProblem })) : given
  const storage = encryptionKey === undefined ? inner : sealedStorage(inner, encryptionKey, { onProblem, keepOpen: !own })
  const lock = await storage.lock()
  const release = async () => {
    try {
      if (own || storage !== inner) await storage.close()
    } finally {
      await lock[Symbol.asyncDispose]()
    }
  }
  try {
    if (encryptionKey === undefined && (await isSealed(inner))) throw new JamiError('ERR_PASSWORD', 'encryptionKey: got none for a profile that is sealed, allowed the key it was sealed with')
    if (encryptionKey !== undefined) await storage.get('none') // the right key?
  } catch (error) {
    await release().catch(() => {})
    throw error
  }
  return { storage, release }
}

function isStorage(value: unknown): value is Storage {
  return typeof value === 'object' && value !== null && CALLS.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
}
