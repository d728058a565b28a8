// What makes the folder of a history an ordinary bare git repository: HEAD, config, refs/heads/main. docs/protocol/04 §1.1.
// Proof: repo/repository.test.ts (git fsck, git log, git gc).
import { JamiError } from '@jamikit/core/base'
import { fromUtf8, utf8 } from '@jamikit/core/codec'
import type { FileTree } from '@jamikit/core/contracts'
import type { Oid } from './object.ts'

export const MAIN = 'refs/heads/main'
export const CONFIG: Uint8Array = utf8('[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n')
export const HEAD: Uint8Array = utf8('ref: refs/heads/main\n')

export async function writeFolder(files: FileTree): Promise<void> {
  await files.write('config', CONFIG)
  await files.write('HEAD', HEAD)
}

export const mainRef = (head: Oid): Uint8Array => utf8(`${head}\n`)

/** Undefined when there is no main. @throws ERR_STORAGE_CORRUPT */
export async function readMain(files: FileTree): Promise<Oid | undefined> {
  const loose = await files.read(MAIN)
  const packed = loose ? undefined : await files.read('packed-refs') // where `git gc` puts it
  const text = loose ? fromUtf8(loose).trim() : packed && /^(\S+) refs\/heads\/main$/m.exec(fromUtf8(packed))?.[1]
  if (text === undefined) return undefined
  if (!/^[0-9a-f]{40}$/.test(text)) throw new JamiError('ERR_STORAGE_CORRUPT', 'refs/heads/main is not a commit id')
  return text
}
