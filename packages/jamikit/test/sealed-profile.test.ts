// Whole nodes over sealed and plain profiles on disk: nothing readable with a key, nothing left of a removed account without one.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileStorage } from '@jamikit/core'
import type { Clock, FileTree, Storage } from '@jamikit/core/contracts'
import { createTestNetwork } from 'jamikit/testing'
import { afterEach, describe, expect, it } from 'vitest'

const key = new Uint8Array(32).fill(9)

const opened: Storage[] = []
afterEach(async () => {
  for (const storage of opened.splice(0)) await storage.close()
})

/** A profile on disk for which virtual time waits. */
function onDisk(directory: string, clock: Clock): Storage {
  const inner = fileStorage(directory)
  opened.push(inner)
  const tracked = <T extends object>(object: T, also: Partial<T>): T =>
    new Proxy(object, { get: (target, name) => also[name as keyof T] ?? ((...args: unknown[]) => clock.track((target[name as keyof T] as (...args: unknown[]) => Promise<unknown>).apply(target, args))) })
  const keys = async function* (prefix: string) {
    const all: string[] = []
    const read = async () => {
      for await (const key of inner.keys(prefix)) all.push(key)
    }
    await clock.track(read())
    yield* all
  }
  return tracked<Storage>(inner, { keys, files: (prefix) => tracked<FileTree>(inner.files(prefix), {}), lock: async () => ({ [Symbol.asyncDispose]: async () => {} }) })
}

/** Names and files of a directory that hold one of the texts. */
async function holding(directory: string, texts: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const bytes = entry.isFile() ? await readFile(join(entry.parentPath, entry.name)) : Buffer.alloc(0)
    if (texts.some((text) => entry.name.includes(text) || bytes.includes(text))) found.push(entry.name)
  }
  return found
}

describe('profiles on disk', () => {
  it('with an encryptionKey neither keys, names, ids nor messages are readable, and the account comes back with the key only', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
    const net = await createTestNetwork({ seed: 3 })
    try {
      const storage = onDisk(directory, net.clock)
      const node = await net.createNode({ host: 'alice', storage, encryptionKey: key })
      const alice = await net.run(node.accounts.open('MARKERlabel', { displayName: 'MARKERname' }))
      await net.run(alice.ready())
      const bob = await net.account('bob')
      await net.befriend(alice, bob)
      const chat = await net.run(alice.conversations.with(bob.uri))
      const arriving = bob.once('message', { filter: (message) => message.type === 'text' })
      await net.run(chat.send('MARKERtext'))
      await net.run(arriving)
      const secrets = ['MARKER', 'PRIVATE KEY', alice.uri, bob.uri, alice.deviceId, chat.id, 'conversation']
      await net.run(node.close())
      await storage.close()
      expect(await holding(directory, secrets)).toEqual([])

      await expect(net.createNode({ host: 'alice', storage: onDisk(directory, net.clock) })).rejects.toMatchObject({ code: 'ERR_PASSWORD' })
      await expect(net.createNode({ host: 'alice', storage: onDisk(directory, net.clock), encryptionKey: new Uint8Array(32) })).rejects.toMatchObject({ code: 'ERR_PASSWORD' })
      const again = await net.createNode({ host: 'alice', storage: onDisk(directory, net.clock), encryptionKey: () => key })
      const back = await net.run(again.accounts.open('MARKERlabel'))
      expect([back.uri, back.profile.displayName]).toEqual([alice.uri, 'MARKERname'])
      const texts: string[] = []
      const read = async () => {
        for await (const message of back.conversations.get(chat.id).history()) if (message.type === 'text') texts.push(message.text)
      }
      await net.run(read())
      expect(texts).toEqual(['MARKERtext'])
    } finally {
      await net[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    }
  }, 60_000)

  it('after a conversation was removed nothing of it is in the directory, what it said included', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
    const net = await createTestNetwork({ seed: 6 })
    try {
      const node = await net.createNode({ host: 'alice', storage: onDisk(directory, net.clock) })
      const alice = await net.run(node.accounts.open('alice'))
      await net.run(alice.ready())
      const bob = await net.account('bob')
      await net.befriend(alice, bob)
      const chat = await net.run(alice.conversations.with(bob.uri))
      const message = await net.run(chat.send('hello'))
      await net.run(message.delivered())
      expect((await holding(directory, [`conversation/${chat.id}`])).length).toBeGreaterThan(0)
      await net.run(alice.contacts.remove(bob.uri))
      expect(await holding(directory, [`conversation/${chat.id}`, message.id])).toEqual([])
      await net.run(node.close())
      expect(await holding(directory, [`conversation/${chat.id}`, message.id])).toEqual([])
    } finally {
      await net[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    }
  }, 60_000)

  it('after accounts.remove() no byte of the account is in the directory, the other account is', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
    const net = await createTestNetwork({ seed: 4 })
    try {
      const node = await net.createNode({ host: 'alice', storage: onDisk(directory, net.clock) })
      const gone = await net.run(node.accounts.create({ label: 'MARKERgone', displayName: 'gone' }))
      const kept = await net.run(node.accounts.create({ label: 'MARKERkept', displayName: 'kept' }))
      expect((await holding(directory, ['MARKERgone'])).length).toBeGreaterThan(0)
      await net.run(node.accounts.remove(gone))
      expect(await holding(directory, ['MARKERgone', gone.uri, gone.deviceId])).toEqual([])
      expect((await holding(directory, ['MARKERkept', kept.uri])).length).toBeGreaterThan(0)
      await net.run(node.close())
      expect(await holding(directory, ['MARKERgone', gone.uri, gone.deviceId])).toEqual([])
    } finally {
      await net[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    }
  }, 60_000)
})
