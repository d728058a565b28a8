// A process that writes a history is killed (kill -9) again and again at random: what it had said is durable is there, in its order, and git
// finds no fault once the history was closed.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { fileStorage } from '@jamikit/core'
import { SeededRandom } from '@jamikit/core/testing'
import { afterEach, expect, it } from 'vitest'
import { Repository } from '../../src/repo/repository.ts'
import { options } from '../repositories.ts'

const ROUNDS = process.env.JAMIKIT_SIM === 'full' ? 200 : 12
const children: ChildProcess[] = []
const root = mkdtempSync(join(tmpdir(), 'swarm-kill-'))
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

/** Writes on until so many changes were told and some more turns have passed. */
async function writeUntilKilled(round: number, lines: number, delayMs: number): Promise<string[]> {
  const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('../history-writer.ts', import.meta.url)), root, `${round}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const told: string[] = []
  const exit = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    told.push(line)
    if (told.length === lines) setTimeout(() => child.kill('SIGKILL'), delayMs)
  }
  const [code, signal] = (await exit) as [number | null, string | null]
  expect([code, signal]).toEqual([null, 'SIGKILL'])
  return told
}

it(`${ROUNDS} times kill -9`, async () => {
  const random = new SeededRandom('history-kill')
  let known: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const told = await writeUntilKilled(round, 1 + random.below(60), random.below(12))
    const storage = fileStorage(root)
    const more = options()
    const repository = await Repository.open(storage.files('c'), more)
    if (!repository) throw new Error('the history is gone')
    expect(more.problems).toEqual([])
    const order = Array.from({ length: repository.length }, (_, position) => repository.at(position).oid as string)
    for (const line of told) {
      const [length = '', head = ''] = line.split(' ')
      expect(order[Number(length) - 1]).toBe(head)
    }
    expect(order.slice(0, known.length)).toEqual(known)
    for (const oid of order.slice(known.length)) expect(await repository.commit(oid)).toBeDefined()
    known = order
    if (round % 4 === 0 || round === ROUNDS - 1) {
      await repository.close()
      expect(execFileSync('git', ['fsck', '--strict', '--no-dangling'], { cwd: join(root, 'files', 'c'), stdio: ['ignore', 'pipe', 'pipe'] }).toString()).toBe('')
      expect(execFileSync('git', ['rev-list', '--count', 'main'], { cwd: join(root, 'files', 'c') }).toString().trim()).toBe(`${known.length}`)
    }
    await storage.close()
  }
  expect(known.length).toBeGreaterThan(ROUNDS * 10)
})
