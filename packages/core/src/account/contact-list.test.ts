// The contact list: local operations, what they answer, what is on disk. The merge table and the record codec: codecs.test.ts.
import { describe, expect, it } from 'vitest'
import { encodeMsgpack } from '../codec/msgpack.ts'
import type { AccountUri, ConversationId, DeviceId } from '../contracts/ids.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { ContactList, MAX_BANNED_DEVICES, MAX_CONTACTS } from './contact-list.ts'

const peer = '1'.repeat(40) as AccountUri
const one = 'a'.repeat(40) as ConversationId
const two = 'b'.repeat(40) as ConversationId

async function list(storage = memoryStorage()) {
  return { storage, contacts: await ContactList.load(storage, 'p') }
}

/** What the list says about the peer. */
const says = (contacts: ContactList) => ({
  contact: contacts.isContact(peer), confirmed: contacts.isConfirmed(peer), banned: contacts.isBanned(peer), conversation: contacts.conversationWith(peer),
})

describe('a contact', () => {
  it('is nobody, added, confirmed, removed, added again, banned, unbanned', async () => {
    const { contacts } = await list()
    expect(says(contacts)).toEqual({ contact: false, confirmed: false, banned: false, conversation: undefined })
    await contacts.add(peer, 1000, { confirmed: false, conversation: one })
    expect(says(contacts)).toEqual({ contact: true, confirmed: false, banned: false, conversation: one })
    await contacts.add(peer, 2000, { confirmed: true, conversation: undefined })
    expect(says(contacts)).toEqual({ contact: true, confirmed: true, banned: false, conversation: one })
    await contacts.remove(peer, 3000, false)
    expect(says(contacts)).toEqual({ contact: false, confirmed: false, banned: false, conversation: undefined })
    await contacts.add(peer, 4000, { confirmed: false, conversation: two })
    expect(says(contacts)).toEqual({ contact: true, confirmed: false, banned: false, conversation: two })
    await contacts.remove(peer, 5000, true)
    expect(says(contacts)).toEqual({ contact: false, confirmed: false, banned: true, conversation: two })
    await contacts.add(peer, 6000, { confirmed: false, conversation: undefined })
    expect(says(contacts)).toEqual({ contact: true, confirmed: false, banned: false, conversation: two })
  })

  it('keeps the date of the first addition while it is one', async () => {
    const { contacts } = await list()
    await contacts.add(peer, 1000, { confirmed: false, conversation: one })
    await contacts.add(peer, 2000, { confirmed: true, conversation: two, displayName: 'P' })
    expect(contacts.get(peer)).toMatchObject({ addedMs: 1000, confirmed: true, conversation: two, displayName: 'P' })
  })

  it('can be removed and added with a clock that stands still or goes back', async () => {
    const { contacts } = await list()
    await contacts.add(peer, 1000, { confirmed: true, conversation: one })
    await contacts.remove(peer, 1000, false)
    expect(contacts.isContact(peer)).toBe(false)
    await contacts.add(peer, 500, { confirmed: true, conversation: one })
    expect(contacts.isContact(peer)).toBe(true)
  })

  it('that is added again unchanged is no change', async () => {
    const { contacts } = await list()
    expect(await contacts.add(peer, 1000, { confirmed: true, conversation: one })).toBe(true)
    expect(await contacts.add(peer, 2000, { confirmed: false, conversation: undefined })).toBe(false)
  })

  it('can be banned before it was one', async () => {
    const { contacts } = await list()
    await contacts.remove(peer, 1000, true)
    expect(says(contacts)).toEqual({ contact: false, confirmed: false, banned: true, conversation: undefined })
  })
})

describe('the list on disk', () => {
  it('is the same after every change, as another process reads it', async () => {
    const { storage, contacts } = await list()
    const steps: (() => Promise<unknown>)[] = [
      () => contacts.add(peer, 1234, { confirmed: false, conversation: one, displayName: 'Ünï' }), () => contacts.add(peer, 2000, { confirmed: true, conversation: two }),
      () => contacts.remove(peer, 3000, true), () => contacts.merge(peer, { addedMs: 4000, removedMs: 0, confirmed: true, banned: false, conversation: one }),
    ]
    for (const step of steps) {
      await step()
      const read = (await list(storage)).contacts
      expect(read.entries()).toEqual(contacts.entries())
    }
  })

  it('a record that cannot be read is told as such, not dropped, and costs the other contacts nothing', async () => {
    const storage = memoryStorage()
    const other = '9'.repeat(40) as AccountUri
    await (await list(storage)).contacts.add(other, 1000, { confirmed: true, conversation: one })
    await storage.batch([{ key: `p/contacts/${peer}`, value: Uint8Array.of(0xc1) }, { key: 'p/contacts/nobody', value: encodeMsgpack({}) }])
    const { contacts } = await list(storage)
    expect(contacts.entries().map(([account]) => account)).toEqual([other])
    expect(contacts.problems).toMatchObject([{ code: 'ERR_STORAGE_CORRUPT' }, { code: 'ERR_STORAGE_CORRUPT' }])
    expect(await storage.get(`p/contacts/${peer}`)).toEqual(Uint8Array.of(0xc1))
  })

  it('a name that is too long, or none, costs itself', async () => {
    const storage = memoryStorage()
    for (const displayName of ['x'.repeat(2000), 7]) {
      await storage.batch([{ key: `p/contacts/${peer}`, value: encodeMsgpack({ added: 1, displayName }) }])
      const { contacts } = await list(storage)
      expect([contacts.isContact(peer), contacts.get(peer)?.displayName, contacts.problems]).toEqual([true, typeof displayName === 'string' ? 'x'.repeat(1000) : undefined, []])
    }
  })

  it('two changes of one contact that run at once are both there, in memory and on disk', async () => {
    const { storage, contacts } = await list()
    await Promise.all([contacts.add(peer, 1, { confirmed: false, conversation: one }), contacts.add(peer, 2, { confirmed: true, conversation: undefined }), contacts.add(peer, 3, { confirmed: false, conversation: undefined, displayName: 'Bob' })])
    expect(contacts.get(peer)).toMatchObject({ addedMs: 1, confirmed: true, conversation: one, displayName: 'Bob' })
    expect((await list(storage)).contacts.entries()).toEqual(contacts.entries())
  })

  it('a banned device is banned after a restart, and its account is not', async () => {
    const { storage, contacts } = await list()
    const device = 'd'.repeat(64) as DeviceId
    await contacts.banDevice(device, true)
    const again = (await list(storage)).contacts
    expect([again.isBanned(device), again.entries(), again.problems]).toEqual([true, [], []])
    await again.banDevice(device, false)
    expect([again.isBanned(device), (await list(storage)).contacts.isBanned(device)]).toEqual([false, false])
  })

  it(`bans ${MAX_BANNED_DEVICES} devices and refuses more with a typed error`, async () => {
    const { contacts } = await list()
    for (let i = 0; i < MAX_BANNED_DEVICES; i++) await contacts.banDevice(i.toString(16).padStart(64, '0') as DeviceId, true)
    await expect(contacts.banDevice('d'.repeat(64) as DeviceId, true)).rejects.toMatchObject({ code: 'ERR_LIMIT' })
  })

  it(`holds ${MAX_CONTACTS} contacts and refuses more with a typed error`, async () => {
    const { contacts } = await list()
    for (let i = 0; i < MAX_CONTACTS; i++) await contacts.add(i.toString(16).padStart(40, '0') as AccountUri, 1, { confirmed: false, conversation: undefined })
    await expect(contacts.add(peer, 1, { confirmed: false, conversation: undefined })).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    await expect(contacts.remove(peer, 1, true)).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    await expect(contacts.merge(peer, { addedMs: 1, removedMs: 0, confirmed: false, banned: false, conversation: undefined })).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    expect(contacts.entries().length).toBe(MAX_CONTACTS)
  })
})
