import { describe, expect, it } from 'vitest'
import { deferred } from '../base/operation.ts'
import { PathQueue } from './path-queue.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('path queue', () => {
  it('one file: in the order of the calls, also after a failure; other files do not wait', async () => {
    const queue = new PathQueue()
    const gate = deferred<void>()
    const seen: string[] = []
    const first = queue.run('a', () => gate.promise.then(() => Promise.reject(new Error('first'))))
    const second = queue.run('a', async () => void seen.push('second'))
    await queue.run('b', async () => void seen.push('other'))
    expect(seen).toEqual(['other'])
    gate.resolve()
    await expect(first).rejects.toThrow('first')
    await second
    expect(seen).toEqual(['other', 'second'])
  })

  it('a move waits for what is below it, and what comes later below it waits for the move', async () => {
    const queue = new PathQueue()
    const [writing, moving] = [deferred<void>(), deferred<void>()]
    const seen: string[] = []
    const write = queue.run('dir/a', () => writing.promise.then(() => void seen.push('write')))
    const move = queue.runOnTrees(['dir', 'target'], () => {
      seen.push('move')
      return moving.promise
    })
    const later = [queue.run('dir/b', async () => void seen.push('later')), queue.run('target/a', async () => void seen.push('target')), queue.runOnTrees(['dir/sub'], async () => void seen.push('remove'))]
    await queue.run('directory', async () => void seen.push('beside'))
    await turn()
    expect(seen).toEqual(['beside'])
    writing.resolve()
    await write
    await turn()
    expect(seen).toEqual(['beside', 'write', 'move'])
    moving.resolve()
    await Promise.all([move, ...later])
    expect(seen.slice(3).sort()).toEqual(['later', 'remove', 'target'])
    await queue.idle()
  })
})
