// Account archives, whole: from file bytes to a checked account and back. docs/protocol/03 §3.
// Proof: account/archive/archive.test.ts; the real daemon imports what encodeArchive writes (interop).
import type { Crypto } from '../../contracts/crypto.ts'
import { type ArchiveSecret, openContainer, writeContainer, type WriteContainerOptions } from './container.ts'
import { type AccountArchive, archiveToJson, parseArchive } from './schema.ts'

export interface OpenedArchive {
  readonly archive: AccountArchive
  /** Of a protected archive: pass them on when writing it again. */
  readonly salt: Uint8Array | undefined
  readonly key: Uint8Array | undefined
}

/** @throws ERR_PASSWORD (wrong or missing), ERR_ARCHIVE_INVALID, ERR_LIMIT, ERR_ARGUMENT (a key that has not 32 bytes) */
export async function openArchive(crypto: Crypto, file: Uint8Array, secret?: ArchiveSecret): Promise<OpenedArchive> {
  const { text, salt, key } = await openContainer(crypto, file, secret)
  return { archive: parseArchive(text), salt, key }
}

/** File bytes: clear without a secret, else protected. @throws ERR_ARGUMENT */
export async function encodeArchive(archive: AccountArchive, options: WriteContainerOptions): Promise<Uint8Array> {
  return writeContainer(archiveToJson(archive), options)
}
