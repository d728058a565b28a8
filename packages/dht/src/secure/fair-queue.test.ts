// Costly work of strangers: everybody gets a turn, nobody fills the queue alone, what is under way stays.
import type { SocketAddress } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { FairQueue, type FairQueueOptions, type Work } from './fair-queue.ts'

const address = (host: string): SocketAddress => ({ host, port: 4222, family: host.includes(':') ? 6 : 4 })

/** A queue whose work ends when the test says so. */
function queue(options: Partial<FairQueueOptions> = {}) {
  const log: string[] = []
  const ends: (() => void)[] = []
  const fair = new FairQueue({ concurrency: 1, address: { count: 4, bytes: 1000 }, network: { count: 6, bytes: 2000 }, total: { count: 10, bytes: 4000 }, newestFirstFrom: 100, ...options })
  const work = (name: string, from: string | undefined, more: Partial<Work> = {}) => fair.add({
    from: from === undefined ? undefined : address(from), bytes: 1, own: false,
    run: () => new Promise<void>((resolve) => {
      log.push(name)
      ends.push(resolve)
    }),
    dropped: () => void log.push(`-${name}`),
    ...more,
  })
  const finish = async () => {
    for (let end = ends.shift(); end; end = ends.shift()) {
      end()
      await Promise.resolve().then(() => {}).then(() => {}).then(() => {})
    }
  }
  return { fair, work, log, finish }
}

describe('a fair queue', () => {
  it('runs no more at a time than allowed, and all of it, failures included', async () => {
    const { work, log, finish, fair } = queue({ concurrency: 2 })
    work('fails', '1.1.1.1', { run: () => Promise.reject(new Error('x')) })
    for (const name of ['a', 'b', 'c', 'd']) work(name, '1.1.1.1')
    await Promise.resolve().then(() => {}).then(() => {})
    expect(log).toEqual(['a', 'b'])
    await finish()
    expect(log).toEqual(['a', 'b', 'c', 'd'])
    expect(fair.waiting).toBe(0)
  })

  it('networks take turns, and addresses within them: a newcomer waits for one piece of each, not for all', async () => {
    const { work, log, finish } = queue()
    for (const name of ['a1', 'a2', 'a3', 'a4']) work(name, '1.1.1.1')
    work('neighbour', '1.1.1.2')
    work('far', '2.2.2.2')
    await finish()
    expect(log).toEqual(['a1', 'a2', 'far', 'neighbour', 'a3', 'a4'])
  })

  it('a source that has too much waiting loses its own oldest, never what is under way, never that of others', async () => {
    const { work, log, finish } = queue()
    work('under way', '1.1.1.1')
    work('honest', '2.2.2.2')
    for (let i = 0; i < 7; i++) work(`a${i}`, '1.1.1.1')
    expect(log).toEqual(['under way', '-a0', '-a1', '-a2'])
    await finish()
    expect(log.slice(4)).toEqual(['honest', 'a3', 'a4', 'a5', 'a6'])
  })

  it('a network that has too much waiting loses that of its busiest address; all together that of the busiest network', async () => {
    const { work, log, fair } = queue()
    work('under way', undefined)
    for (let i = 0; i < 4; i++) work(`a${i}`, '1.1.1.1')
    for (let i = 0; i < 2; i++) work(`b${i}`, '1.1.1.2')
    work('c', '1.1.1.3')
    expect(log).toEqual(['under way', '-a0'])
    for (const [i, host] of ['2.2.2.2', '3.3.3.3', '4.4.4.4', '5.5.5.5', '6.6.6.6'].entries()) work(`far${i}`, host)
    expect(log).toEqual(['under way', '-a0', '-a1'])
    expect(fair.waiting).toBe(10)
  })

  it('bytes are a share, too; one piece alone may be larger', () => {
    const { work, log } = queue()
    work('under way', undefined)
    work('large', '1.1.1.1', { bytes: 1500 })
    expect(log).toEqual(['under way'])
    work('more', '1.1.1.1', { bytes: 10 })
    expect(log).toEqual(['under way', '-large'])
  })

  it('what we asked for goes first, but for every fourth piece', async () => {
    const { work, log, finish } = queue({ address: { count: 100, bytes: 1e6 }, network: { count: 100, bytes: 1e6 }, total: { count: 100, bytes: 1e6 } })
    work('first', undefined)
    for (let i = 0; i < 3; i++) work(`other${i}`, '1.1.1.1')
    for (let i = 0; i < 6; i++) work(`own${i}`, '2.2.2.2', { own: true })
    await finish()
    expect(log).toEqual(['first', 'own0', 'own1', 'other0', 'own2', 'own3', 'own4', 'other1', 'own5', 'other2'])
  })

  it('under a flood of one address its newest goes first', async () => {
    const { work, log, finish } = queue({ newestFirstFrom: 2 })
    for (const name of ['a', 'b', 'c', 'd', 'e']) work(name, '1.1.1.1')
    await finish()
    expect(log).toEqual(['a', 'e', 'd', 'b', 'c'])
  })

  it('clear() drops all that waits', async () => {
    const { work, log, fair, finish } = queue()
    for (const name of ['a', 'b', 'c']) work(name, '1.1.1.1', { own: name === 'b' })
    fair.clear()
    expect(log).toEqual(['a', '-b', '-c'])
    await finish()
    expect([log.length, fair.waiting]).toEqual([3, 0])
  })
})
