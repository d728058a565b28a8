// Files as programs see them, over the doubles of everything below: what is checked, what is told, and what a program that leaves meets.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ConversationId, MessageId } from '../contracts/ids.ts'
import type { FileTransfer, OutgoingFile, TransferPolicy, Transfers } from '../contracts/transfers.ts'
import { JamiError } from '../base/errors.ts'
import { deferred } from '../base/operation.ts'
import { Source } from '../base/emitter.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import type { FileSource, Progress, TransferNews } from './api-files.ts'
import { PublicFiles } from './public-files.ts'

const conversation = 'c'.repeat(40) as ConversationId
const message = 'f'.repeat(40) as MessageId

/** A transfer that does what the test says. */
function scripted(direction: 'send' | 'receive') {
  const over = deferred<MessageId>()
  over.promise.catch(() => {})
  const told = new Source<Progress>(() => {})
  const state = { progress: { doneBytes: 0, totalBytes: 10, bytesPerSec: 0 } as Progress, cancelled: [] as unknown[], paused: false, blocks: [new Uint8Array(4), new Uint8Array(6)] }
  const transfer: FileTransfer = {
    direction, conversation, message, path: '/inbox/x', done: over.promise, onProgress: told.listen,
    progress: () => state.progress,
    async *read() {
      yield* state.blocks
      await over.promise
    },
    pause: () => void (state.paused = true),
    resume: () => void (state.paused = false),
    async cancel(options) {
      state.cancelled.push(options)
      over.reject(new JamiError('ERR_ABORTED', 'cancelled'))
    },
  }
  return { transfer, over, state, tell: (doneBytes: number) => told.emit((state.progress = { doneBytes, totalBytes: 10, bytesPerSec: 1 })), listeners: () => told.size }
}

let clock: ManualClock
let life: AbortController
let made: ReturnType<typeof scripted>[]
let files: { conversation: ConversationId; file: OutgoingFile }[]
let policy: TransferPolicy | undefined
let news: TransferNews<{ id: MessageId }>[]
let began: Source<FileTransfer>
let subject: PublicFiles<{ id: MessageId }>

beforeEach(() => {
  clock = new ManualClock()
  life = new AbortController()
  made = []
  files = []
  news = []
  policy = undefined
  began = new Source(() => {})
  const next = (direction: 'send' | 'receive') => {
    const one = scripted(direction)
    made.push(one)
    began.emit(one.transfer)
    return one.transfer
  }
  const transfers: Transfers = {
    start: async () => {}, stop: async () => {}, active: () => made.map(({ transfer }) => transfer), onTransfer: began.listen,
    setPolicy: (given) => void (policy = given),
    send: (of, file) => (files.push({ conversation: of, file }), next('send')),
    receive: () => next('receive'),
  }
  subject = new PublicFiles({ transfers, clock, life: life.signal, message: async (_, id) => ({ id }), tell: (event) => void news.push(event) })
})
afterEach(() => expect(clock.pending()).toEqual([]))

const code = (work: PromiseLike<unknown>) => Promise.resolve(work).then(() => 'done', (error: { code?: string }) => error.code)
const bytesOf = async (source: OutgoingFile['source'] | undefined) => {
  const parts: Uint8Array[] = []
  if (source !== undefined && typeof source !== 'string') for await (const part of source) parts.push(part)
  return Buffer.concat(parts)
}
const own = (direction: 'send' | 'receive') => made.find(({ transfer }) => transfer.direction === direction) as ReturnType<typeof scripted>

describe('what can be sent', () => {
  const dir = mkdtempSync(join(tmpdir(), 'jamikit-sources-'))
  const path = join(dir, 'report.pdf')
  writeFileSync(path, 'x')
  afterEach(() => rmSync(dir, { recursive: true, force: true }))

  it('a path and a file: URL by path, under their own name or another one', () => {
    subject.send(conversation, path)
    subject.send(conversation, pathToFileURL(path), { name: 'b.pdf', sizeBytes: 7, replyTo: message, idempotencyKey: 'k', keep: 'reference' })
    expect(files.map(({ file }) => file)).toEqual([{ source: path, name: 'report.pdf' }, { source: path, name: 'b.pdf', sizeBytes: 7, replyTo: message, key: 'k', keep: 'reference' }])
  })

  it.each<[string, FileSource, string, number | undefined]>([
    ['bytes', new Uint8Array([1, 2, 3]), 'file', 3], ['a Blob', new Blob([new Uint8Array([1, 2, 3])]), 'file', 3],
    ['a File', new File([new Uint8Array([1, 2, 3])], 'a.txt'), 'a.txt', 3], ['a ReadableStream', new Blob([new Uint8Array([1, 2, 3])]).stream(), 'file', undefined],
    ['an async iterable', (async function* () { yield new Uint8Array([1, 2, 3]) })(), 'file', undefined],
  ])('%s', async (_, source, name, sizeBytes) => {
    subject.send(conversation, source)
    expect([files[0]?.file.name, files[0]?.file.sizeBytes]).toEqual([name, sizeBytes])
    expect([...(await bytesOf(files[0]?.file.source))]).toEqual([1, 2, 3])
  })

  it('nothing else: the transfer has failed, and nothing was begun', async () => {
    for (const source of ['', 'x'.repeat(5000), 7, null, {}, new URL('https://example.org')]) expect(await code(subject.send(conversation, source as never))).toBe('ERR_ARGUMENT')
    expect(await code(subject.send(conversation, new Uint8Array(1), { keep: 'reference' }))).toBe('ERR_ARGUMENT')
    expect(await code(subject.send(conversation, new Uint8Array(1), { nmae: 'x' } as never))).toBe('ERR_ARGUMENT')
    expect(await code(subject.download(conversation, message, 7 as never))).toBe('ERR_ARGUMENT')
    expect(files).toEqual([])
  })
})

describe('a transfer', () => {
  it('is a promise of its message', async () => {
    const transfer = subject.download(conversation, message, undefined)
    own('receive').over.resolve(message)
    expect([(await transfer).id, transfer.path]).toEqual([message, '/inbox/x'])
  })

  it('is a loop over its progress: the newest, and always the last; leaving it takes its listener away', async () => {
    const transfer = subject.download(conversation, message, undefined)
    const seen: number[] = []
    const looping = (async () => {
      for await (const { doneBytes } of transfer) seen.push(doneBytes)
    })()
    await clock.settle()
    for (const doneBytes of [1, 2, 3]) own('receive').tell(doneBytes) // in one turn: only the last counts
    await clock.settle()
    own('receive').tell(10)
    own('receive').over.resolve(message)
    await looping
    expect(seen).toEqual([0, 3, 10])
    await clock.settle()
    expect(own('receive').listeners()).toBe(0)
  })

  it('throws in its loop what it failed of', async () => {
    const transfer = subject.download(conversation, message, undefined)
    own('receive').over.reject(new JamiError('ERR_FILE_HASH', 'no'))
    await expect((async () => { for await (const _ of transfer) void _ })()).rejects.toMatchObject({ code: 'ERR_FILE_HASH' })
  })

  it('that nobody waits for and that fails ends nobody\'s process: it is told as an event', async () => {
    subject.download(conversation, message, undefined)
    await clock.settle()
    own('receive').over.reject(new JamiError('ERR_FILE_GONE', 'no'))
    await clock.settle()
    expect(news.map(({ state, error }) => [state, error?.code])).toEqual([['active', undefined], ['failed', 'ERR_FILE_GONE']])
  })

  it('events carry the transfer that the call gave, and its progress', async () => {
    const transfer = subject.download(conversation, message, undefined)
    await clock.settle()
    own('receive').tell(5)
    own('receive').over.resolve(message)
    await clock.settle()
    expect(news.every((event) => event.transfer === transfer && event.messageId === message)).toBe(true)
    expect(news.map(({ state, doneBytes }) => [state, doneBytes])).toEqual([['active', 0], ['active', 5], ['done', 5]])
    expect(subject.active()).toEqual([transfer])
  })

  it('is a stream of its bytes, read as it is asked for', async () => {
    const transfer = subject.download(conversation, message, undefined)
    own('receive').over.resolve(message)
    let length = 0
    for await (const bytes of transfer.readable) length += bytes.length
    expect([length, transfer.readable]).toEqual([10, transfer.readable])
  })

  it('whose caller leaves by signal or time ends for it, and keeps what came; nothing stays behind', async () => {
    const leaving = new AbortController()
    const [first, second] = [subject.download(conversation, message, undefined, { signal: leaving.signal }), subject.download(conversation, message, undefined, { timeoutMs: 1000 })]
    leaving.abort()
    expect(await code(first)).toBe('ERR_ABORTED')
    expect(await clock.run(code(second))).toBe('ERR_TIMEOUT')
    expect(made.map(({ state }) => state.cancelled)).toEqual([[{ keep: true }], [{ keep: true }]])
  })

  it('pauses, resumes, and is cancelled', async () => {
    const transfer = subject.send(conversation, new Uint8Array(1))
    transfer.pause()
    expect(own('send').state.paused).toBe(true)
    transfer.resume()
    await transfer.cancel()
    expect([own('send').state.paused, await code(transfer)]).toEqual([false, 'ERR_ABORTED'])
  })

  it('into a stream is done when the stream has all; a stream that fails fails it', async () => {
    let length = 0
    const good = subject.download(conversation, message, new WritableStream<Uint8Array>({ write: (bytes) => void (length += bytes.length) }))
    made[0]?.over.resolve(message)
    expect([await code(good), length]).toEqual(['done', 10])
    const bad = subject.download(conversation, message, new WritableStream<Uint8Array>({ write: () => Promise.reject(new Error('full')) }))
    expect(await code(bad)).toBe('ERR_LISTENER')
    expect(made[1]?.state.cancelled).toEqual([{ keep: true }])
  })
})

it('a policy is checked; what is left out is as at the start', () => {
  subject.setPolicy({ autoBytes: 5 })
  expect(policy).toEqual({ autoBytes: 5, maxBytes: Number.MAX_SAFE_INTEGER })
  expect(() => subject.setPolicy({ autoBytes: -1 })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  expect(() => subject.setPolicy({ max: 1 } as never)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
})

it('without the package, and after the account has stopped, transfers say so', async () => {
  life.abort()
  expect(await code(subject.send(conversation, new Uint8Array(1)))).toBe('ERR_CLOSED')
  const without = new PublicFiles({ transfers: undefined, clock, life: new AbortController().signal, message: async (_, id) => ({ id }), tell: () => {} })
  await expect(Promise.resolve(without.send(conversation, new Uint8Array(1)))).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED', details: { package: '@jamikit/media' } })
  expect(without.active()).toEqual([])
})
