// A conversation of some devices over doubles of everything below file transfer: what the tests of media stand on.
import { Source, silentLogger } from '@jamikit/core/base'
import { FILE_TYPE, fileIdOf, toHex } from '@jamikit/core/codec'
import type { AccountUri, Channel, ConversationEntry, ConversationId, DeviceId, DeviceIdentity, MemberRole, MessageId, Storage } from '@jamikit/core/contracts'
import { sha1, sha3_512 } from '@jamikit/core/crypto'
import { FakeConnectionNetwork, type FakeConnectionManager, FakeDirectory, ManualClock, SeededRandom, testIdentity, testStorage } from '@jamikit/core/testing'
import { FileTransfers } from '../src/transfer/transfers.ts'

export const [alice, bob, carol, dave] = [0, 1, 2, 3].map((n) => testIdentity(n).device) as [DeviceIdentity, DeviceIdentity, DeviceIdentity, DeviceIdentity]
const ARRIVAL_MS = 20

export type World = ReturnType<typeof world>
export type Life = Awaited<ReturnType<World['life']>>

/** Bytes that repeat nowhere soon. */
export function someBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** Compares bytes without listing them. */
export function same(got: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(got, expected) !== 0) throw new Error(`got ${got.length} bytes, expected ${expected.length} others`)
}

export async function* inChunks(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const bytes of source) parts.push(bytes)
  return new Uint8Array(Buffer.concat(parts))
}

export function world() {
  const clock = new ManualClock()
  const network = new FakeConnectionNetwork({ clock })
  const directory = new FakeDirectory({ clock })
  const conversation = 'c'.repeat(40) as ConversationId
  const roles = new Map<AccountUri, MemberRole>([[alice.accountId, 'admin'], [bob.accountId, 'member'], [carol.accountId, 'member']])
  const entries = new Map<MessageId, ConversationEntry>()
  const keys = new Map<string, MessageId>()
  const listeners = new Map<DeviceId, Source<{ entry: ConversationEntry; own: boolean }>>()
  let exists = true
  /** Announces, whoever it is, whatever it says. */
  const write = (self: DeviceIdentity, fields: Record<string, string>, type = FILE_TYPE): MessageId => {
    const id = toHex(sha1(new TextEncoder().encode(JSON.stringify([entries.size, self.deviceId, fields])))) as MessageId
    const entry: ConversationEntry = { id, conversation, parents: [], author: self.accountId, device: self.deviceId, timeMs: clock.wallTimeMs(), type, fields }
    entries.set(id, entry)
    for (const [device, source] of listeners) {
      if (device === self.deviceId) source.emit({ entry, own: true })
      else clock.after(ARRIVAL_MS, () => source.emit({ entry, own: entry.author === self.accountId && false }))
    }
    return id
  }
  const removed = new Source<{ conversation: ConversationId }>(() => {})
  /** Announces bytes that nobody needs to have. */
  const announce = (self: DeviceIdentity, bytes: Uint8Array, changed: Record<string, string> = {}) => {
    const fields = { displayName: 'a.bin', sha3sum: toHex(sha3_512(bytes)), tid: '7', totalSize: String(bytes.length), ...changed }
    const message = write(self, fields)
    return { message, fileId: fileIdOf(message, fields) }
  }
  const manager = (identity: DeviceIdentity) => network.manager({ identity, policy: { allowsLink: () => true } })
  const running = new Set<{ stop(): Promise<void> }>()

  /** A device with files; `append` fails when `fails` says so. */
  async function life(identity: DeviceIdentity, storage: Storage = testStorage()) {
    const connections = manager(identity)
    const heard = new Source<{ entry: ConversationEntry; own: boolean }>(() => {})
    const ready = new Source<{ account: AccountUri; device: DeviceId }>(() => {})
    listeners.set(identity.deviceId, heard)
    const said = { fails: undefined as Error | undefined }
    const opened: string[] = []
    const transfers = new FileTransfers({
      clock, random: new SeededRandom(identity.deviceId + String(clock.now())), logger: silentLogger, identity, directory, storage, prefix: 'accounts/a',
      connections: {
        handle: (scheme, handler) => connections.handle(scheme, handler),
        openChannel: (device, name, options) => {
          opened.push(name)
          return connections.openChannel(device, name, options)
        },
      },
      messages: { onPeerReady: ready.listen, connectedDevices: () => [] },
      conversations: {
        get: (id) => (exists && id === conversation ? { state: 'ready' } : undefined),
        members: (id) => (exists && id === conversation ? [...roles].map(([uri, role]) => ({ uri, role })) : []),
        roleOf: (id, account) => (exists && id === conversation ? roles.get(account) : undefined),
        entry: async (_, message) => entries.get(message),
        message: async (_, message) => {
          const entry = entries.get(message)
          const taken = [...entries.values()].some(({ author, fields }) => fields.edit === message && fields.tid === '' && author === entry?.author)
          return entry && { entry, fields: entry.fields, deleted: taken, editions: [], editedMs: undefined, reactions: [] }
        },
        append: async (_, { type, fields }, { key } = {}) => {
          if (said.fails) throw said.fails
          const known = key === undefined ? undefined : keys.get(key)
          if (known) return known
          const id = write(identity, fields, type)
          if (key !== undefined) keys.set(key, id)
          return id
        },
        onEntry: heard.listen,
        onRemoved: removed.listen,
      },
    })
    await connections.start()
    directory.announce(identity.accountId, identity.deviceId)
    await transfers.start()
    const one = {
      identity, storage, connections, transfers, said,
      /** Names of channels that it asked for. */
      opened,
      /** A device is there, as far as messages know. */
      meets: (other: DeviceIdentity) => ready.emit({ account: other.accountId, device: other.deviceId }),
      async stop() {
        running.delete(one)
        listeners.delete(identity.deviceId)
        await transfers.stop()
        await connections.stop()
      },
      /** As a process that was killed: nothing is said to anybody, and what it keeps stays as it is. */
      async kill() {
        connections.setOnline(false)
        await one.stop()
      },
    }
    running.add(one)
    return one
  }

  /** A device that speaks the wire itself: what it gives for a file is up to the test. */
  async function holder(identity: DeviceIdentity, give: (channel: Channel, start: number) => Promise<void> | void, accept: (name: string) => boolean = () => true) {
    const connections = manager(identity)
    await connections.start()
    directory.announce(identity.accountId, identity.deviceId)
    const asked: string[] = []
    connections.handle('data-transfer', {
      accept: (name) => {
        asked.push(name)
        return accept(name)
      },
      open: (channel) => void Promise.resolve(give(channel, Number(/start=(\d+)/.exec(channel.name)?.[1] ?? 0))).catch(() => {}), // whoever is left learns it by writing
    })
    running.add(connections)
    return { connections, asked }
  }

  return {
    clock, network, directory, conversation, roles, entries, write, announce, life, holder, manager,
    run: <T>(work: Promise<T>) => clock.run(work),
    removeConversation() {
      exists = false
      removed.emit({ conversation })
    },
    /** The rest of a channel, as a requester gets it. */
    async ask(connections: FakeConnectionManager, of: DeviceIdentity, name: string): Promise<Uint8Array> {
      return collect(await connections.openChannel(of.deviceId, name))
    },
    async dispose() {
      for (const one of running) await clock.run(one.stop())
      await clock.advance(60_000)
    },
  }
}
