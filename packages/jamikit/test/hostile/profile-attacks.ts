// What others can do to the profile of a node while it is stopped, and what a removed account leaves in it.
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Arena } from './arena.ts'

/** Plants locks, scratch files and open rights. Gives a check for when the node runs again. */
export async function plant(arena: Arena): Promise<() => Promise<Record<string, unknown>>> {
  const { profile } = arena
  const planted = [join('scratch', 'planted'), join('scratch', '1.7'), join('scratch', 'records.log')]
  await mkdir(join(profile, 'scratch', 'planted'), { recursive: true })
  for (const path of planted.slice(1)) await writeFile(join(profile, path), 'half')
  for (const name of ['lock.0000', 'lock.ffff', 'lock']) await writeFile(join(profile, name), '{"pid":1,')
  await chmod(profile, 0o777)
  await chmod(join(profile, 'records.log'), 0o666)
  arena.warnings.length = 0
  return async () => {
    const names = await readdir(profile)
    const scratch = await readdir(join(profile, 'scratch'))
    const rights = arena.warnings.filter((text) => text.includes('got mode'))
    const modes = [profile, join(profile, 'records.log')].map(async (path) => ((await stat(path)).mode & 0o777).toString(8))
    return { left: [...scratch.filter((name) => planted.some((path) => path.endsWith(name))), ...names.filter((name) => ['lock.0000', 'lock.ffff'].includes(name))], rights: rights.length, modes: await Promise.all(modes) }
  }
}

/** Where in the profile keys of an account that was removed still are, and whether keys that should be there are found in the same way. */
export async function removedKeysLeft(arena: Arena): Promise<{ keys: number; left: string[]; found: boolean }> {
  const { own, removed } = await arena.victim.ask<{ own: string[]; removed: string[] }>('spare')
  const has = (bytes: Buffer, line: string) => bytes.includes(line) || bytes.includes(Buffer.from(line, 'base64'))
  const left: string[] = []
  let found = false
  for (const entry of await readdir(arena.profile, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const bytes = await readFile(join(entry.parentPath, entry.name)).catch(() => Buffer.alloc(0)) // gone meanwhile
    if (removed.some((line) => has(bytes, line))) left.push(entry.name)
    found ||= own.some((line) => has(bytes, line))
  }
  return { keys: removed.length, left, found }
}
