// One process owns a profile. Who wants it puts a file of its own, `lock.<nonce>`, beside those of others and owns the profile when nobody
// else who lives has one; names are never used twice, so taking away a dead one's file can hit nobody else, and neither hard links nor
// exclusive creation are needed. Each asks again after it has said that it holds: of two, at least one sees the other and steps back.
// A process of this machine is asked for by number and start time. Of one in another container or on another machine only the beats in
// its file tell; it counts as dead after STALE_MS without one. Proof: storage/profile-lock.test.ts.
import { getRandomValues } from 'node:crypto'
import { lstat, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { JamiError } from '../base/errors.ts'
import { toHex } from '../codec/bytes.ts'
import type { Clock, Timer } from '../contracts/clock.ts'
import { ioError } from './disk.ts'
import { type Liveness, livenessOf, ownIdentity, type ProcessIdentity } from './process-identity.ts'

const BEAT_MS = 2000
export const STALE_MS = 15_000
/** Nobody who comes and goes keeps others waiting for longer. */
const GIVE_UP_MS = 60_000
const BEAT_DIGITS = 12

export interface LockOptions {
  readonly clock: Clock
  /** For the beats: its timers need not keep the process alive. */
  readonly background: Clock
  /** Somebody took the profile over because no beat of ours came through. */
  readonly onLost: (error: JamiError) => void
  readonly self?: ProcessIdentity
}

interface Entry extends ProcessIdentity {
  readonly name: string
  readonly nonce: string
  /** It owned the profile; else it asks for it. */
  readonly held: boolean
  readonly text: string
}

/** Takes the lock of a profile directory. @throws ERR_STORAGE_LOCKED with the owner's `pid` and `host` */
export async function takeLock(directory: string, options: LockOptions): Promise<AsyncDisposable> {
  await options.clock.track(mkdir(directory, { recursive: true, mode: 0o700 }))
  return new ProfileLock(directory, options, options.self ?? (await options.clock.track(ownIdentity()))).take()
}

class ProfileLock {
  readonly #directory: string
  readonly #options: LockOptions
  readonly #self: ProcessIdentity
  readonly #nonce = toHex(getRandomValues(new Uint8Array(8)))
  readonly #path: string
  /** Files of others that only beats tell about: what they said, since when. Bounded by the files in the directory. */
  readonly #watched = new Map<string, { text: string; since: number }>()
  #beats = 0
  #placed = false
  #timer: Timer | undefined
  #beating: Promise<void> | undefined
  #released = false

  constructor(directory: string, options: LockOptions, self: ProcessIdentity) {
    this.#directory = directory
    this.#options = options
    this.#self = self
    this.#path = join(directory, `lock.${this.#nonce}`)
  }

  async take(): Promise<AsyncDisposable> {
    const { clock } = this.#options
    const until = clock.now() + GIVE_UP_MS
    try {
      for (;;) {
        const others = await clock.track(this.#others())
        if (others.length === 0) {
          if (!this.#placed) await clock.track(this.#place(false))
          else if (await clock.track(this.#hold())) break
          continue
        }
        const unsure = others.some(({ liveness }) => liveness === 'unknown')
        if (this.#placed && (unsure || others.some(({ entry }) => entry.held || entry.nonce < this.#nonce))) await clock.track(this.#withdraw())
        if (clock.now() >= until) throw new JamiError('ERR_STORAGE_LOCKED', `the profile ${this.#directory} changes hands too often`)
        await new Promise<void>((resolve) => clock.after(unsure ? 250 : 5, resolve))
      }
      await clock.track(this.#sweep())
    } catch (error) {
      await clock.track(this.#withdraw().catch(() => {}))
      throw ioError(error)
    }
    this.#arm()
    return { [Symbol.asyncDispose]: () => clock.track(this.#release()) }
  }

  /** Says that we hold it, and asks once more. */
  async #hold(): Promise<boolean> {
    await this.#place(true)
    if (!(await this.#others()).some(({ entry }) => entry.held) && (await this.#isOurs())) return true // who only asks will see us
    await this.#withdraw()
    return false
  }

  /** Everybody else who lives or may live; the files of the dead go. @throws ERR_STORAGE_LOCKED when one surely holds it */
  async #others(): Promise<{ entry: Entry; liveness: Liveness }[]> {
    const out: { entry: Entry; liveness: Liveness }[] = []
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name)
      if (path === this.#path || !/^lock(\.|$)/.test(name) || name.endsWith('.new')) continue
      const text = await textOf(path)
      if (text === undefined) continue
      const entry = parse(name, text)
      const liveness = entry ? await this.#ask(entry) : 'dead' // such files appear whole: this is none
      if (!entry || liveness === 'dead') await rm(path, { recursive: true, force: true })
      else if (entry.held && liveness === 'alive') throw this.#locked(entry)
      else out.push({ entry, liveness })
    }
    return out
  }

  async #ask(entry: Entry): Promise<Liveness> {
    const told = await livenessOf(entry, this.#self)
    if (told !== 'unknown') return told
    const now = this.#options.clock.now()
    const seen = this.#watched.get(entry.name)
    if (!seen) {
      this.#watched.set(entry.name, { text: entry.text, since: now })
      return 'unknown'
    }
    if (seen.text !== entry.text) return 'alive'
    return now - seen.since >= STALE_MS ? 'dead' : 'unknown'
  }

  #locked({ pid, host, boot, space }: Entry): JamiError {
    const elsewhere = host !== this.#self.host ? ` on ${host}` : boot !== this.#self.boot || space !== this.#self.space ? ' of another container' : ''
    return new JamiError('ERR_STORAGE_LOCKED', `the profile ${this.#directory} is in use by process ${pid}${elsewhere}`, { details: { pid, host } })
  }

  async #place(held: boolean): Promise<void> {
    const draft = `${this.#path}.new`
    try {
      await writeFile(draft, `${JSON.stringify({ ...this.#self, nonce: this.#nonce, held })}\n${beat(this.#beats)}`, { mode: 0o600, flush: true })
      await rename(draft, this.#path)
      this.#placed = true
    } catch (error) {
      await rm(draft, { force: true })
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error // an owner swept the draft: ask again
      await lstat(this.#directory)
    }
  }

  async #withdraw(): Promise<void> {
    this.#placed = false
    await rm(this.#path, { force: true })
  }

  /** Takes away what those who asked and died left; nobody else owns anything here now. */
  async #sweep(): Promise<void> {
    for (const name of await readdir(this.#directory)) if (/^lock\..*\.new$/.test(name)) await rm(join(this.#directory, name), { recursive: true, force: true })
  }

  async #isOurs(): Promise<boolean> {
    const text = await textOf(this.#path)
    return text !== undefined && parse('', text)?.nonce === this.#nonce
  }

  #arm(lastBeat = this.#options.background.now()): void {
    const { background, onLost } = this.#options
    this.#timer = background.after(BEAT_MS, () => {
      this.#beating = background.track(
        (async () => {
          let last = lastBeat
          try {
            if (this.#released) return
            if (!(await this.#isOurs())) return onLost(new JamiError('ERR_STORAGE_LOCKED', `the profile ${this.#directory} was taken over by another process: no sign of life of this one reached the disk`))
            await this.#beat()
            last = background.now()
          } catch (error) {
            if (background.now() - last >= STALE_MS) return onLost(new JamiError('ERR_STORAGE_LOCKED', `the profile ${this.#directory} may be taken over: no sign of life reaches the disk`, { cause: error }))
          }
          if (!this.#released) this.#arm(last)
        })(),
      )
    })
  }

  /** Only digits change, in place: nobody ever reads half of it. */
  async #beat(): Promise<void> {
    const handle = await open(this.#path, 'r+')
    try {
      const { size } = await handle.stat()
      await handle.write(beat(++this.#beats), size - BEAT_DIGITS)
    } finally {
      await handle.close()
    }
  }

  async #release(): Promise<void> {
    this.#released = true
    this.#timer?.cancel()
    await this.#beating
    await rm(this.#path, { force: true })
  }
}

function beat(n: number): string {
  return String(n).padStart(BEAT_DIGITS, '0')
}

/** Undefined when it is gone; empty for what is no file (reading a pipe would wait for ever). */
async function textOf(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isFile() ? await readFile(path, 'utf8') : ''
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parse(name: string, text: string): Entry | undefined {
  try {
    const { pid, start, boot, space, machine, host, nonce, held } = JSON.parse(text.split('\n')[0] ?? '') as Record<string, unknown>
    const texts = [start, boot, space, machine, host, nonce]
    if (!Number.isInteger(pid) || Number(pid) <= 0 || texts.some((value) => typeof value !== 'string')) return undefined
    return { pid: Number(pid), start: String(start), boot: String(boot), space: String(space), machine: String(machine), host: String(host), nonce: String(nonce), held: held === true, name, text }
  } catch {
    return undefined
  }
}
