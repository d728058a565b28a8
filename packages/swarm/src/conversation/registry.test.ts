// Which conversations there are: one that cannot be opened costs itself and is kept, records before memory, members found without a walk.
import { JamiError } from '@jamikit/core/base'
import { encodeMsgpack } from '@jamikit/core/codec'
import type { AccountUri, ConversationId } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { alice, bob, carol, person } from '../../test/harness.ts'
import { memoryFiles, type MemoryFiles } from '../../test/memory.ts'
import { MAX_GONE, MAX_INVITED_TIMES } from '../defaults.ts'
import { Conversation } from './conversation.ts'
import { decodeRecord, encodeRecord, keys, NEW_RECORD, put, withInvited } from './record.ts'
import { Registry } from './registry.ts'

const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const out: T[] = []
  for await (const item of items) out.push(item)
  return out
}
const id = (n: number) => n.toString(16).padStart(40, '0') as ConversationId

/** Conversations of one account in one storage, as a registry finds them. */
function registryOver(storage: MemoryFiles) {
  const env = (conversation: ConversationId) => ({ ...person(alice, storage)(conversation), files: storage.files(`a/conversations/${conversation || 'new'}`), prefix: `a/conversation/${conversation}` })
  const problems: [string, string][] = []
  let second = 1_800_000_000
  const registry = new Registry({ storage, prefix: 'a', open: (of) => Conversation.open(env(of), of), onProblem: (of, error) => problems.push([of, error.code]) })
  const create = async (peer = bob) => {
    const conversation = await Conversation.create(env, env('' as ConversationId), peer.accountId, ++second)
    await registry.enter(conversation, 1)
    return conversation
  }
  return { registry, problems, create }
}

describe('what is found at the start', () => {
  it('a damaged conversation, a damaged record and a repository that is gone are reported; the others are there', async () => {
    const storage = memoryFiles()
    const first = registryOver(storage)
    const [good, lost, damaged, odd] = [await first.create(), await first.create(carol), await first.create(), await first.create(carol)]
    await Promise.all([good, lost, damaged, odd].map((c) => c.close()))
    await storage.files('a/conversations').remove(lost.id)
    const files = storage.files(`a/conversations/${damaged.id}`)
    for (const path of ['jamikit/journal', 'jamikit/graph', 'refs/heads/main']) if (await files.size(path)) await files.write(path, Uint8Array.of(1, 2, 3))
    await storage.batch([{ key: `a/conversation/${odd.id}/info`, value: Uint8Array.of(0xc1) }])
    await first.registry.expect(id(7), bob.accountId)
    const { registry, problems } = registryOver(storage)
    await registry.load()
    expect([...registry.ready].map((c) => c.id)).toEqual([good.id])
    expect([...registry.pending].map((p) => p.id)).toEqual([id(7)])
    expect(new Set(problems.map(([of]) => of))).toEqual(new Set([lost.id, damaged.id, odd.id]))
    expect(new Set(problems.map(([, code]) => code))).not.toContain('ERR_INTERNAL')
    expect(() => registry.get(damaged.id)).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
    expect(() => registry.get(id(99))).toThrow(expect.objectContaining({ code: 'ERR_NOT_FOUND' }))
  })

  it('what cannot be opened is never cloned over: it moves aside, whole', async () => {
    const storage = memoryFiles()
    const first = registryOver(storage)
    const damaged = await first.create()
    await damaged.close()
    const files = storage.files(`a/conversations/${damaged.id}`)
    await files.write('jamikit/journal', Uint8Array.of(9))
    await files.write('refs/heads/main', Uint8Array.of(9))
    const before = (await storage.files('a/conversations').list(damaged.id)).sort()
    const { registry } = registryOver(storage)
    await registry.load()
    await registry.expect(damaged.id, bob.accountId)
    const folders = await storage.files('a/conversations').list('')
    expect(folders).toEqual([`${damaged.id}.damaged-1/`])
    expect((await storage.files('a/conversations').list(`${damaged.id}.damaged-1`)).sort()).toEqual(before)
    const again = registryOver(storage)
    await again.registry.load()
    expect(await storage.files('a/conversations').list('')).toEqual(folders)
  })

  it('a folder without record, of a creation or removal that was cut off, is swept', async () => {
    const storage = memoryFiles()
    await storage.files(`a/conversations/${id(5)}`).write('HEAD', Uint8Array.of(1))
    await registryOver(storage).registry.load()
    expect(await storage.files('a/conversations').list('')).toEqual([])
  })
})

describe('changes', () => {
  it('are on disk before they are known, and nothing when the disk refuses', async () => {
    const storage = memoryFiles()
    const { registry, create } = registryOver(storage)
    const conversation = await create()
    storage.onWrite = () => {
      throw new JamiError('ERR_STORAGE_IO', 'disk full')
    }
    await expect(registry.expect(id(1), bob.accountId)).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    await expect(registry.remove(conversation.id, 5)).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    expect([registry.has(id(1)), registry.find(conversation.id)]).toEqual([false, conversation])
    storage.onWrite = () => {}
    await conversation.append({ type: 'text/plain', fields: { body: 'still writable' } }, undefined)
    expect(await registry.remove(conversation.id, 5)).toBe(true)
    await expect(conversation.append({ type: 'text/plain', fields: { body: 'gone' } }, undefined)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    expect(await all(storage.keys('a/'))).toEqual([`a/conversation-gone/${conversation.id}`])
    expect(await storage.files('a/conversations').list('')).toEqual([])
  })

  it('who is in which conversation is known without a look at the others', async () => {
    const { registry, create } = registryOver(memoryFiles())
    const [withBob, withCarol] = [await create(bob), await create(carol)]
    expect([...registry.of(bob.accountId)]).toEqual([withBob])
    expect([...registry.of(alice.accountId)]).toEqual([withBob, withCarol])
    await registry.remove(withBob.id, 5)
    expect([...registry.of(bob.accountId)]).toEqual([])
  })

  it('a record of a later version of this program is read as far as it goes', async () => {
    const storage = memoryFiles()
    await storage.batch([{ key: `a/conversation/${id(3)}/info`, value: encodeMsgpack({ version: 2, from: bob.accountId, later: true }) }])
    const { registry, problems } = registryOver(storage)
    await registry.load()
    expect([[...registry.pending].map((p) => p.from), problems]).toEqual([[bob.accountId], []])
  })
})

describe('bounds', () => {
  it('of what is gone: the oldest is forgotten, on disk too', async () => {
    const storage = memoryFiles()
    await storage.batch(Array.from({ length: MAX_GONE }, (_, n) => put(keys.gone('a', id(n + 1)), { ...NEW_RECORD, createdMs: 1, removedMs: 10 + n, erasedMs: 10 + n })))
    const { registry, create } = registryOver(storage)
    await registry.load()
    const conversation = await create()
    await registry.remove(conversation.id, 1_000_000)
    expect([registry.gone(id(1)), registry.gone(id(2))?.removedMs, registry.gone(conversation.id)?.removedMs]).toEqual([undefined, 11, 1_000_000])
    expect((await all(storage.keys('a/conversation-gone/'))).length).toBe(MAX_GONE)
  })

  it('of whom we invited when: the oldest is forgotten, the newest time counts', () => {
    let record = NEW_RECORD
    const account = (n: number) => id(n) as string as AccountUri
    for (let n = 0; n <= MAX_INVITED_TIMES; n++) record = withInvited(record, account(n), n)
    record = withInvited(record, account(1), 9999)
    expect([record.invited.size, record.invited.get(account(0)), record.invited.get(account(1))]).toEqual([MAX_INVITED_TIMES, undefined, 9999])
    expect(decodeRecord(encodeRecord(record))).toEqual(record)
  })

  it('a record of the first version, of one that is here and of one that is waited for, is read', () => {
    expect(decodeRecord(encodeMsgpack({ version: 1, from: '' }))).toEqual(NEW_RECORD)
    expect(decodeRecord(encodeMsgpack({ version: 1, from: bob.accountId }))).toEqual({ ...NEW_RECORD, from: bob.accountId })
  })
})
