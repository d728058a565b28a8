// One process owns a profile: a lock file with process id and start time, so that a number used again by another process
// is not taken for the owner. Processes of one machine only. Proof: storage/file-storage.test.ts.
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { JamiError } from '../base/errors.ts'
import { toHex, utf8 } from '../codec/bytes.ts'
import { sha256 } from '../crypto/hash.ts'

interface Owner {
  readonly pid: number
  /** Start time of the process in kernel ticks and the boot it belongs to; empty where /proc is missing. */
  readonly start: string
  readonly nonce: string
}

let counter = 0

/** Takes the lock of a profile directory. @throws ERR_STORAGE_LOCKED with the owner's `pid` */
export async function takeLock(directory: string): Promise<AsyncDisposable> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, 'lock')
  const own = JSON.stringify({ pid: process.pid, start: await startOf(process.pid), nonce: `${process.hrtime.bigint()}.${counter++}` } satisfies Owner)
  const draft = join(directory, `lock.${process.pid}.${counter++}`)
  await writeFile(draft, own, { mode: 0o600, flush: true })
  try {
    // Each round ends with the lock, with a living owner, or after somebody else changed the file.
    for (let round = 0; round < 100; round++) {
      if (await linked(draft, path)) return release(path, own)
      const found = await textOf(path)
      if (found === undefined) continue
      await refuseLiving(found)
      // Whoever holds the claim on this very stale lock, and still finds it, may replace it.
      const claim = join(directory, `lock.after.${toHex(sha256(utf8(found))).slice(0, 16)}`)
      if (!(await linked(draft, claim))) {
        const claimant = await textOf(claim)
        if (claimant !== undefined && claimant !== own) {
          await refuseLiving(claimant)
          await rm(claim, { force: true }) // its process died on the way
        }
        continue
      }
      try {
        if ((await textOf(path)) !== found) continue
        const replacement = `${draft}.new`
        await writeFile(replacement, own, { mode: 0o600, flush: true })
        await rename(replacement, path)
        return release(path, own)
      } finally {
        await rm(claim, { force: true })
      }
    }
    throw new JamiError('ERR_STORAGE_LOCKED', 'the profile lock changes hands too often')
  } finally {
    await rm(draft, { force: true })
  }
}

function release(path: string, own: string): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      if ((await textOf(path)) === own) await rm(path, { force: true })
    },
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function refuseLiving(text: string): Promise<void> {
  const owner = parse(text)
  if (owner && (await isAlive(owner))) throw new JamiError('ERR_STORAGE_LOCKED', `the profile is in use by process ${owner.pid}`, { details: { pid: owner.pid } })
}

function parse(text: string): Owner | undefined {
  try {
    const { pid, start, nonce } = JSON.parse(text) as Partial<Owner>
    return Number.isInteger(pid) && Number(pid) > 0 && typeof start === 'string' ? { pid: Number(pid), start, nonce: String(nonce) } : undefined
  } catch {
    return undefined // never written completely: nobody's
  }
}

async function isAlive(owner: Owner): Promise<boolean> {
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const start = await startOf(owner.pid)
  return owner.start === '' || start === '' || start === owner.start
}

/** `boot id/ticks`, or empty where the system does not tell. */
async function startOf(pid: number): Promise<string> {
  try {
    const [boot, stat] = await Promise.all([readFile('/proc/sys/kernel/random/boot_id', 'utf8'), readFile(`/proc/${pid}/stat`, 'utf8')])
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] // field 22; the name in field 2 may hold spaces
    return ticks ? `${boot.trim()}/${ticks}` : ''
  } catch {
    return ''
  }
}
