import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { JamiError } from '../base/errors.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { ownIdentity, type ProcessIdentity } from './process-identity.ts'
import { STALE_MS, takeLock } from './profile-lock.ts'

let directory = ''
let clock = new ManualClock()
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
  clock = new ManualClock()
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const onLost = () => {
  throw new Error('lost')
}
const take = (self?: ProcessIdentity, lost: (error: JamiError) => void = onLost) => takeLock(directory, { clock, background: clock, onLost: lost, ...(self ? { self } : {}) })
/** A process that is number 1 in a container of its own, as all of them are. */
const container = (i: number, host = 'a'): ProcessIdentity => ({ pid: 1, start: String(100 + i), boot: `boot of ${host}`, space: `pid:[${i}]`, machine: '', host })
const lockFile = (self: ProcessIdentity, held = true, nonce = 'f00d') => writeFile(join(directory, `lock.${nonce}`), `${JSON.stringify({ ...self, nonce, held })}\n000000000000`)
const outcome = (work: Promise<unknown>) => work.then(() => 'taken', (error: JamiError) => error.code)

describe('profile lock', () => {
  it('two containers that share a directory are both process 1: only one gets it, the other is told', async () => {
    const lock = await clock.run(take(container(1)))
    const refused = clock.run(take(container(2)))
    await expect(refused).rejects.toMatchObject({ code: 'ERR_STORAGE_LOCKED', message: expect.stringContaining('process 1 of another container'), details: { pid: 1, host: 'a' } })
    await expect(clock.run(take(container(3, 'b')))).rejects.toMatchObject({ message: expect.stringContaining('process 1 on a') })
    await lock[Symbol.asyncDispose]()
    await (await clock.run(take(container(2))))[Symbol.asyncDispose]()
    expect(await readdir(directory)).toEqual([])
  })

  it('one elsewhere whose beats stopped is dead after a while, not before, and learns of it if it lives', async () => {
    const lost: JamiError[] = []
    await clock.run(take(container(1), (error) => lost.push(error)))
    const [file = ''] = await readdir(directory)
    const text = await readFile(join(directory, file), 'utf8')
    await clock.advance(10_000)
    expect(await readFile(join(directory, file), 'utf8')).not.toBe(text) // it beats
    // its machine freezes: what it wrote last is all that others see
    await rm(join(directory, file))
    await writeFile(join(directory, 'lock.frozen'), text)
    const began = clock.now()
    const lock = await clock.run(take(container(2)))
    expect(clock.now() - began).toBeGreaterThanOrEqual(STALE_MS)
    expect(clock.now() - began).toBeLessThan(STALE_MS + 2000)
    expect(await readdir(directory)).toHaveLength(1)
    await clock.advance(5000)
    expect(lost).toMatchObject([{ code: 'ERR_STORAGE_LOCKED', message: expect.stringContaining('taken over') }])
    await lock[Symbol.asyncDispose]()
  })

  it.skipIf(process.platform !== 'linux')('a dead process of this machine holds nothing up: gone, its number used again, or from before the machine was started anew', async () => {
    const self = await ownIdentity()
    const began = clock.now()
    for (const gone of [{ ...self, pid: 2 ** 22 + 1 }, { ...self, start: '1' }, { ...self, boot: 'earlier', space: 'pid:[4026531836]' }]) {
      await lockFile(gone)
      await (await clock.run(take({ ...self, machine: 'm', ...(gone.boot === 'earlier' ? { space: 'pid:[4026531836]', machine: gone.machine } : {}) })))[Symbol.asyncDispose]()
    }
    expect(clock.now() - began).toBeLessThan(self.machine === '' ? 3 * STALE_MS : 1000)
    await lockFile(self)
    await expect(clock.run(take())).rejects.toMatchObject({ code: 'ERR_STORAGE_LOCKED', details: { pid: process.pid } })
  })

  it('what was planted or cut off where locks lie is swept, and nothing outside of it', async () => {
    await writeFile(join(directory, 'lock'), '{"pid":1}')
    await writeFile(join(directory, 'lock.0'), '')
    await writeFile(join(directory, 'lock.1.new'), '{"pid":')
    await mkdir(join(directory, 'lock.after', 'deep'), { recursive: true })
    await writeFile(join(directory, 'target'), 'mine')
    await symlink(join(directory, 'target'), join(directory, 'lock.link'))
    const lock = await clock.run(take())
    expect((await readdir(directory)).filter((name) => !/^lock\.[0-9a-f]{16}$/.test(name))).toEqual(['target'])
    expect(await readFile(join(directory, 'target'), 'utf8')).toBe('mine')
    await lock[Symbol.asyncDispose]()
  })

  it('of many that want it at the same time, in one process or in many containers, exactly one gets it', async () => {
    for (const selves of [Array.from({ length: 12 }, () => undefined), Array.from({ length: 6 }, (_, i) => container(i))]) {
      await lockFile({ ...(selves[0] ?? (await ownIdentity())), pid: 2 ** 22 + 1 })
      const locks: AsyncDisposable[] = []
      const outcomes = await clock.run(Promise.all(selves.map((self) => outcome(take(self).then((lock) => locks.push(lock))))))
      expect(outcomes.sort()).toEqual([...Array(selves.length - 1).fill('ERR_STORAGE_LOCKED'), 'taken'])
      for (const lock of locks) await lock[Symbol.asyncDispose]()
    }
    expect(await readdir(directory)).toEqual([])
  }, 30_000)

  it('never two at once, however they come and go', async () => {
    const random = new SeededRandom('locks')
    let [holding, taken] = [0, 0]
    const live = async (i: number) => {
      for (let round = 0; round < 8; round++) {
        const lock = await take(i % 2 === 0 ? container(i) : undefined).catch(() => undefined)
        if (lock) {
          expect(++holding).toBe(1)
          taken++
          await new Promise<void>((resolve) => clock.after(random.below(3000), resolve))
          holding--
          await lock[Symbol.asyncDispose]()
        }
        await new Promise<void>((resolve) => clock.after(random.below(3000), resolve))
      }
    }
    await clock.run(Promise.all(Array.from({ length: 5 }, (_, i) => live(i))))
    expect(taken).toBeGreaterThan(8)
    expect(await readdir(directory)).toEqual([])
  }, 60_000)

  it('one that was taken for dead while it was asking does not hold it when it comes back', async () => {
    const lock = await clock.run(take(container(1)))
    // the one that comes back has said that it holds, without having seen the owner
    await lockFile(container(2), true, 'back')
    const third = outcome(take(container(3)))
    await clock.advance(STALE_MS + 5000)
    expect(await clock.run(third)).toBe('ERR_STORAGE_LOCKED')
    await lock[Symbol.asyncDispose]()
  })
})
