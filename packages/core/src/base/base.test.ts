// operation, queue, tasks, emitter and logger. Time is a list of timers that the test runs by hand.
import { getEventListeners } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import type { Clock } from '../contracts/clock.ts'
import { Source } from './emitter.ts'
import { JamiError } from './errors.ts'
import { lineLogger, silentLogger } from './logger.ts'
import { deferred, delay, throwIfAborted, withOp } from './operation.ts'
import { AsyncQueue } from './queue.ts'
import { LinkedSignal, withSignals } from './signals.ts'
import { Tasks } from './tasks.ts'

function handClock() {
  const timers = new Set<{ delayMs: number; fn: () => void }>()
  const clock: Clock = {
    now: () => 0,
    wallTimeMs: () => 0,
    after(delayMs, fn) {
      const timer = { delayMs, fn }
      timers.add(timer)
      return { cancel: () => void timers.delete(timer) }
    },
    track: (work) => work,
  }
  const fire = () => {
    for (const timer of [...timers]) {
      timers.delete(timer)
      timer.fn()
    }
  }
  return { clock, timers, fire }
}

describe('withOp', () => {
  it('gives the result and leaves neither timer nor listener', async () => {
    const { clock, timers } = handClock()
    const controller = new AbortController()
    const remove = vi.spyOn(controller.signal, 'removeEventListener')
    expect(await withOp(clock, { signal: controller.signal, timeoutMs: 5 }, 'it', async () => 7)).toBe(7)
    expect(timers.size).toBe(0)
    expect(remove).toHaveBeenCalledTimes(1)
  })

  it('rejects with ERR_TIMEOUT and fires the signal of the work', async () => {
    const { clock, fire } = handClock()
    let inner: AbortSignal | undefined
    const running = withOp(clock, { timeoutMs: 5 }, 'the call', (signal) => {
      inner = signal
      return new Promise(() => {})
    })
    fire()
    await expect(running).rejects.toMatchObject({ code: 'ERR_TIMEOUT', message: 'the call: no result within 5 ms', details: { timeoutMs: 5 } })
    expect(inner?.aborted).toBe(true)
  })

  it('rejects with ERR_ABORTED and the reason as cause, before and during', async () => {
    const { clock, timers } = handClock()
    const reason = new Error('enough')
    const work = vi.fn(async () => 1)
    await expect(withOp(clock, { signal: AbortSignal.abort(reason) }, 'it', work)).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason })
    expect(work).not.toHaveBeenCalled()
    const controller = new AbortController()
    const running = withOp(clock, { signal: controller.signal, timeoutMs: 5 }, 'it', () => new Promise(() => {}))
    controller.abort(reason)
    await expect(running).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason })
    expect(timers.size).toBe(0)
  })

  it('passes a JamiError used as reason', async () => {
    const reason = new JamiError('ERR_CLOSED', 'gone')
    expect(() => throwIfAborted(AbortSignal.abort(reason))).toThrow(reason)
  })

  it('leaves nothing when the work throws at once, and refuses a bad time-out', async () => {
    const { clock, timers } = handClock()
    const bad = () => {
      throw new Error('sync')
    }
    await expect(withOp(clock, { timeoutMs: 5 }, 'it', bad)).rejects.toThrow('sync')
    expect(timers.size).toBe(0)
    for (const timeoutMs of [-1, Number.NaN]) await expect(withOp(clock, { timeoutMs }, 'it', async () => 1)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    expect(await withOp(clock, { timeoutMs: Infinity }, 'it', async () => 1)).toBe(1)
  })

  it('a failure after the time-out is no unhandled rejection', async () => {
    const { clock, fire } = handClock()
    const late = deferred<void>()
    const running = withOp(clock, { timeoutMs: 5 }, 'it', () => late.promise)
    fire()
    late.reject(new Error('late'))
    await expect(running).rejects.toMatchObject({ code: 'ERR_TIMEOUT' })
  })
})

describe('delay', () => {
  it('resolves with the clock, rejects with the signal, leaves no timer', async () => {
    const { clock, timers, fire } = handClock()
    const done = delay(clock, 5)
    fire()
    await done
    const controller = new AbortController()
    const aborted = delay(clock, 5, controller.signal)
    controller.abort()
    await expect(aborted).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    await expect(delay(clock, 5, controller.signal)).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    expect(timers.size).toBe(0)
  })
})

describe('LinkedSignal', () => {
  it('fires with the first of its sources and that reason, or at once when one has fired', () => {
    const [a, b] = [new AbortController(), new AbortController()]
    const linked = new LinkedSignal(a.signal, undefined, b.signal)
    expect(linked.signal.aborted).toBe(false)
    b.abort('b')
    a.abort('a')
    expect(linked.signal.reason).toBe('b')
    expect(new LinkedSignal(a.signal).signal.reason).toBe('a')
    const own = new LinkedSignal()
    own.abort('own')
    expect(own.signal.reason).toBe('own')
  })

  it('leaves nothing at its sources when it has fired, was released, or its work is over', async () => {
    const life = new AbortController()
    const left = () => getEventListeners(life.signal, 'abort').length
    const other = new AbortController()
    const fired = new LinkedSignal(life.signal, other.signal)
    expect(left()).toBe(1)
    other.abort()
    expect([fired.signal.aborted, left()]).toEqual([true, 0])
    new LinkedSignal(life.signal).release()
    await withSignals([life.signal, undefined], async () => expect(left()).toBe(1))
    await expect(withSignals([life.signal], async () => { throw new Error('work') })).rejects.toThrow('work')
    await withOp(undefined as never, { signal: life.signal }, 'x', async () => {})
    expect(left()).toBe(0)
  })

  it('any number of operations may wait for one signal without a warning of a leak', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    const life = new AbortController()
    const all = Array.from({ length: 50 }, () => new LinkedSignal(life.signal))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', onWarning)
    expect(warnings).toEqual([])
    life.abort()
    expect(all.every(({ signal }) => signal.aborted)).toBe(true)
  })
})

describe('AsyncQueue', () => {
  it('hands over what is pushed, before and after the consumer waits, then ends', async () => {
    const queue = new AsyncQueue<number>(10)
    queue.push(1)
    const got: number[] = []
    const loop = (async () => {
      for await (const item of queue) got.push(item)
    })()
    await Promise.resolve()
    queue.push(2)
    queue.end()
    await loop
    expect(got).toEqual([1, 2])
    expect(queue.push(3)).toBe(false)
    expect(queue.ended).toBe(true)
  })

  it('is bounded: a push beyond the capacity throws ERR_LIMIT', () => {
    const queue = new AsyncQueue<number>(2)
    queue.push(1)
    queue.push(2)
    expect(() => queue.push(3)).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
    expect(queue.size).toBe(2)
  })

  it('fails after what was queued, and reports the error once', async () => {
    const queue = new AsyncQueue<number>(2)
    queue.push(1)
    queue.fail(new Error('broken'))
    expect(await queue.next()).toEqual({ value: 1, done: false })
    await expect(queue.next()).rejects.toThrow('broken')
    expect(await queue.next()).toEqual({ value: undefined, done: true })
    const waiting = new AsyncQueue<number>(2)
    const next = waiting.next()
    waiting.fail(new Error('broken'))
    await expect(next).rejects.toThrow('broken')
    expect(await waiting.next()).toEqual({ value: undefined, done: true })
  })

  it('runs onReturn once, whichever way it ends', async () => {
    for (const finish of [(q: AsyncQueue<number>) => q.end(), (q: AsyncQueue<number>) => void q.return(), (q: AsyncQueue<number>) => q.fail(new Error('x'))]) {
      const onReturn = vi.fn()
      const queue = new AsyncQueue<number>(2, onReturn)
      finish(queue)
      queue.end()
      await queue.return()
      expect(onReturn).toHaveBeenCalledTimes(1)
    }
  })
})

describe('Tasks', () => {
  it('close() aborts, cancels timers, waits for the work, and nothing starts afterwards', async () => {
    const { clock, timers, fire } = handClock()
    const tasks = new Tasks(clock, () => {})
    const work = deferred<void>()
    const timer = vi.fn()
    tasks.run('work', () => work.promise)
    tasks.after(5, 'timer', timer)
    for (let i = 0; i < 50; i++) tasks.after(5, 'cancelled', timer).cancel()
    expect(timers.size).toBe(1)
    let closed = false
    const closing = tasks.close().then(() => {
      closed = true
    })
    await Promise.resolve()
    expect([closed, tasks.signal.aborted, timers.size]).toEqual([false, true, 0])
    work.resolve()
    await closing
    const late = vi.fn(async () => {})
    tasks.run('late', late)
    tasks.after(0, 'late', late)
    fire()
    expect(late).not.toHaveBeenCalled()
    expect(timer).not.toHaveBeenCalled()
    await tasks.close()
  })

  it('reports failures, but not the abort that close() causes', async () => {
    const { clock, fire } = handClock()
    const errors: unknown[] = []
    const tasks = new Tasks(clock, (error, what) => errors.push([(error as Error).message, what]))
    tasks.after(1, 'timed', () => {
      throw new Error('one')
    })
    fire()
    tasks.run('plain', async () => {
      throw new Error('two')
    })
    await new Promise((resolve) => setImmediate(resolve))
    tasks.run('ends with close', (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('three')))))
    await tasks.close()
    expect(errors).toEqual([['one', 'timed'], ['two', 'plain']])
  })
})

describe('Source', () => {
  it('calls listeners in order until they are taken away, and reports what they throw', () => {
    const errors: unknown[] = []
    const source = new Source<number>((error) => errors.push(error))
    const got: string[] = []
    const off = source.listen((n) => got.push(`a${n}`))
    source.listen(() => {
      throw new Error('listener')
    })
    source.listen((n) => {
      got.push(`b${n}`)
      off()
    })
    source.emit(1)
    source.emit(2)
    off()
    expect(got).toEqual(['a1', 'b1', 'b2'])
    expect(errors).toHaveLength(2)
    expect(source.size).toBe(2)
  })
})

describe('loggers', () => {
  it('writes one JSON line per entry at or above the level, with bindings', () => {
    const lines: string[] = []
    const log = lineLogger('info', (line) => lines.push(line)).child({ part: 'dht' })
    log.debug({ no: 1 })
    log.warn({ peer: 'abc', n: 1n, secret: Buffer.from('hidden'), bytes: new Uint8Array(3), error: new JamiError('ERR_CODEC', 'bad') }, 'text')
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'warn', part: 'dht', peer: 'abc', n: '1', secret: '6 bytes', bytes: '3 bytes', error: { code: 'ERR_CODEC', message: 'bad' }, msg: 'text' })
  })

  it('never throws, and the silent one says nothing', () => {
    const lines: string[] = []
    const loop: Record<string, unknown> = {}
    loop.self = loop
    lineLogger('trace', (line) => lines.push(line)).error(loop, 'circular')
    expect(lines[0]).toContain('could not be written')
    lineLogger('silent', () => expect.unreachable()).error({}, 'x')
    silentLogger.child({ a: 1 }).error({}, 'x')
  })
})
