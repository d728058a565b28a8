// A node whose profile is partly damaged: what can start starts, what cannot is told, and nothing is made anew in its place.
import { type JamiError, memoryStorage } from '@jamikit/core'
import { createTestNetwork } from 'jamikit/testing'
import { expect, it } from 'vitest'

it('a damaged account, name or contact costs itself: the others start, each problem is an `error`, and a damaged label is not taken by a new account', async () => {
  const net = await createTestNetwork({ seed: 41 })
  const contents = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
  const first = await net.createNode({ host: 'bots', storage: memoryStorage(contents) })
  const uris = new Map<string, string>()
  for (const label of ['a', 'b', 'c', 'd']) uris.set(label, (await net.run(first.accounts.open(label, { displayName: label }))).uri)
  await net.run(first.close())

  const key = (label: string, name = 'identity') => `accounts/${uris.get(label)}/${name}`
  const damage = (label: string, from: string, to: string) => {
    const text = Buffer.from(contents.records.get(key(label)) ?? []).toString('latin1').replace(from, to)
    contents.records.set(key(label), new Uint8Array(Buffer.from(text, 'latin1')))
  }
  contents.records.set(key('a'), Uint8Array.of(1, 2, 3)) // not even its label can be read
  damage('b', 'BEGIN PRIVATE KEY', 'BEGIN PRIVATE K_Y') // its label can
  damage('c', '"announce\\":', '"announce\\"; ')
  damage('c', 'announce', 'announcx') // the receipt: refused when it starts
  contents.records.set(key('d', `contacts/${'1'.repeat(40)}`), Uint8Array.of(0xc1))

  const again = await net.createNode({ host: 'bots-again', storage: memoryStorage(contents) })
  const errors: [string, string][] = []
  again.on('error', ({ error, source }: { error: JamiError; source: string }) => errors.push([source, error.code]))
  await net.advance(1000)
  const labels: string[] = []
  for await (const account of again.accounts) labels.push(account.label)
  expect(labels).toEqual(['d'])
  expect(errors.map(([source]) => source).sort()).toEqual(['account', 'account b', 'account c', 'account d'])
  expect(errors.filter(([, code]) => code === 'ERR_STORAGE_CORRUPT').length).toBeGreaterThanOrEqual(3)
  await expect(net.run(again.accounts.open('b'))).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
  await expect(net.run(again.accounts.open('c'))).rejects.toThrow()
  await net.run(again.accounts.open('new'))
  await net[Symbol.asyncDispose]()
})

it.each<[string, unknown]>([['1,001 characters', 'x'.repeat(1001)], ['501 emoji', '😀'.repeat(501)], ['a number', 7], ['nothing', undefined]])('a display name of %s is refused when it is set, and the profile opens', async (_what, displayName) => {
  const net = await createTestNetwork({ seed: 42 })
  const contents = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
  const node = await net.createNode({ host: 'bot', storage: memoryStorage(contents) })
  const account = await net.run(node.accounts.open('a', { displayName: 'x'.repeat(1000) }))
  await expect(net.run(Promise.resolve().then(() => account.profile.set({ displayName: displayName as string })))).rejects.toMatchObject({ code: 'ERR_ARGUMENT', details: { field: 'profile.displayName' } })
  if (displayName !== undefined) await expect(net.run(node.accounts.open('b', { displayName: displayName as string }))).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  await net.run(node.close())
  const again = await net.createNode({ host: 'bot-again', storage: memoryStorage(contents) })
  expect((await net.run(again.accounts.open('a'))).profile.displayName).toBe('x'.repeat(1000))
  await net[Symbol.asyncDispose]()
})
