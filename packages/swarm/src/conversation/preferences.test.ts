// Preferences of a conversation: replaced as a whole, bounded, on disk first, also while it is being cloned. docs/protocol/04 §5.7.
import { failingStorage } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { memoryFiles } from '../../test/memory.ts'
import { alice, bob, World } from '../../test/world.ts'
import { MAX_PREFERENCE_NAME, MAX_PREFERENCE_VALUE, MAX_PREFERENCES } from '../defaults.ts'

const NOWHERE = 'f'.repeat(40) as never

it('are replaced as a whole, told, and there after a restart, whatever their names are', async () => {
  const storage = memoryFiles()
  const a = await new World().join(alice, { storage })
  const id = await a.create({ mode: 2 })
  const updated: string[] = []
  a.onUpdated(({ conversation }) => updated.push(conversation))
  expect(a.preferences(id)).toEqual({})
  await a.setPreferences(id, { hostConferences: 'true', gone: 'x' })
  const odd = JSON.parse('{"1":"number","__proto__":"own","constructor":"","\\ud800":"\\ud800"}') as Record<string, string>
  await a.setPreferences(id, { hostConferences: 'false', ...odd, ['__proto__']: 'own' })
  await a.stop()
  const again = await new World().join(alice, { storage })
  for (const who of [a, again]) expect(Object.entries(who.preferences(id)).sort()).toEqual([['1', 'number'], ['__proto__', 'own'], ['constructor', ''], ['hostConferences', 'false'], ['\ufffd', '\ufffd']])
  expect(updated).toEqual([id, id])
})

it('are kept while the conversation is being cloned, and gone with it', async () => {
  const storage = memoryFiles()
  const a = await new World().join(alice, { storage })
  await a.accept({ conversation: NOWHERE, from: bob.accountId, mode: 2 })
  await a.setPreferences(NOWHERE, { a: 'b' })
  expect(a.preferences(NOWHERE)).toEqual({ a: 'b' })
  await a.remove(NOWHERE)
  expect(a.preferences(NOWHERE)).toEqual({})
  await expect(a.setPreferences(NOWHERE, {})).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
  await a.stop()
  expect((await new World().join(alice, { storage })).preferences(NOWHERE)).toEqual({})
})

it('have bounds that say what is too long', async () => {
  const a = await new World().join(alice)
  const id = await a.create({ mode: 2 })
  const many = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`${i}`.padStart(MAX_PREFERENCE_NAME, 'n'), 'v'.repeat(MAX_PREFERENCE_VALUE)]))
  await a.setPreferences(id, many(MAX_PREFERENCES))
  await expect(a.setPreferences(id, many(MAX_PREFERENCES + 1))).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { allowed: MAX_PREFERENCES } })
  await expect(a.setPreferences(id, { ['n'.repeat(MAX_PREFERENCE_NAME + 1)]: '' })).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { allowed: MAX_PREFERENCE_NAME } })
  await expect(a.setPreferences(id, { n: 'v'.repeat(MAX_PREFERENCE_VALUE + 1) })).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { allowed: MAX_PREFERENCE_VALUE } })
  await expect(a.setPreferences(id, { n: 5 as never })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  expect(Object.keys(a.preferences(id))).toHaveLength(MAX_PREFERENCES)
})

it('are on disk before they are known; a record that cannot be read is told and costs itself', async () => {
  const inner = memoryFiles()
  const storage = failingStorage(inner)
  const a = await new World().join(alice, { storage })
  const [id, other] = [await a.create({ mode: 2 }), await a.create({ mode: 2 })]
  await a.setPreferences(other, { b: 'c' })
  storage.plan = { from: 1 }
  await expect(a.setPreferences(id, { a: 'b' })).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
  expect(a.preferences(id)).toEqual({})
  await a.stop()
  await inner.batch([{ key: `a/conversation/${id}/preferences`, value: Uint8Array.of(0xc1) }])
  const again = await new World().join(alice, { storage: inner })
  expect([again.preferences(id), again.preferences(other)]).toEqual([{}, { b: 'c' }])
})

it('that are set while the conversation goes leave nothing behind', async () => {
  const storage = memoryFiles()
  const a = await new World().join(alice, { storage })
  const id = await a.create({ mode: 2 })
  const outcomes = await Promise.allSettled([a.remove(id), a.setPreferences(id, { a: 'b' }), a.setPreferences(id, { c: 'd' })])
  expect(outcomes[0]?.status).toBe('fulfilled')
  const keys: string[] = []
  for await (const key of storage.keys('a/')) keys.push(key)
  expect([keys, a.preferences(id)]).toEqual([[`a/conversation-gone/${id}`], {}])
})
