// What a contact can send in its histories, by name. Sizes by JAMIKIT_SIM.
import { deflateRawSync, deflateSync } from 'node:zlib'
import { concatBytes } from '@jamikit/core/codec'
import { signedCommit, unsignedCommit } from '../../../swarm/src/repo/commit.ts'
import { printBody } from '../../../swarm/src/repo/commit-body.ts'
import { encodeTree, type GitObject, objectId, type Oid, TREE_MODE } from '../../../swarm/src/repo/object.ts'
import { FLUSH, pkt } from '../../../swarm/src/sync/pkt-line.ts'
import { entry, encodePack, rawEntry, rawPack, refDelta, varint } from '../../../swarm/test/packs.ts'
import { type Attack, FULL, wait } from './arena.ts'
import type { HostileContact } from './hostile-contact.ts'
import { Story } from '../../../swarm/test/story.ts'

type Contact = Attack<HostileContact>

/** What is new in a story since it had so many objects. */
const since = (story: Story, known: ReadonlySet<Oid>): GitObject[] => [...story.objects].filter(([oid]) => !known.has(oid)).map(([, object]) => object)

/** A tree of trees, each with `width` times the one below, `depth` deep, over an empty one. */
function nestedTrees(width: number, depth: number): { root: Oid; objects: GitObject[] } {
  const objects: GitObject[] = [{ type: 'tree', data: new Uint8Array(0) }]
  let below = objectId(objects[0] as GitObject)
  for (let level = 0; level < depth; level++) {
    const tree: GitObject = { type: 'tree', data: encodeTree(Array.from({ length: width }, (_, i) => ({ mode: TREE_MODE, name: `d${String(i).padStart(4, '0')}`, oid: below }))) }
    objects.push(tree)
    below = objectId(tree)
  }
  return { root: below, objects }
}

/** A commit of `device` over a tree. @param signature zeros when left out */
async function commitOver(h: HostileContact, story: Story, tree: Oid, sign: boolean): Promise<{ head: Oid; object: GitObject }> {
  const unsigned = unsignedCommit({ tree, parents: [story.head], name: 'Mallory', device: h.identity.deviceId, timeS: Math.floor(Date.now() / 1000), message: printBody({ type: 'text/plain', fields: { body: 'hi' } }) })
  const object: GitObject = { type: 'commit', data: signedCommit(unsigned, sign ? await story.crypto.sign(h.identity.privateKey, unsigned) : new Uint8Array(256)) }
  return { head: objectId(object), object }
}

/** Texts, one commit each. */
async function texts(h: HostileContact, story: Story, count: number, body: (i: number) => string): Promise<{ head: Oid; pack: Uint8Array }> {
  const known = new Set(story.objects.keys())
  for (let i = 0; i < count; i++) await story.tell({ author: h.identity, fields: { body: body(i) }, timeS: Math.floor(Date.now() / 1000) })
  return { head: story.head, pack: encodePack(since(story, known)) }
}

/** A good head that the pack of the next attacks pretends to bring. */
async function pretext(h: HostileContact, story: Story): Promise<{ head: Oid; entries: Uint8Array[] }> {
  const known = new Set(story.objects.keys())
  const parent = story.head
  const head = await story.tell({ author: h.identity, fields: { body: 'as if' }, timeS: Math.floor(Date.now() / 1000) })
  const entries = since(story, known).map(entry)
  story.head = parent
  return { head, entries }
}

async function feedEntries(h: HostileContact, make: () => Uint8Array[], settleMs?: number): Promise<string> {
  const story = await h.conversation()
  const { head, entries } = await pretext(h, story)
  return h.feed(story, head, rawPack([...entries, ...make()]), settleMs)
}

const band = (data: Uint8Array): Uint8Array => pkt(concatBytes(Uint8Array.of(1), data))

/** The same few packets, again and again, in writes as large as they may be. */
async function flood(write: (bytes: Uint8Array) => Promise<void>, packet: Uint8Array, totalBytes: number): Promise<void> {
  const many = concatBytes(...Array.from({ length: Math.floor(65_000 / packet.length) }, () => packet))
  for (let sent = 0; sent < totalBytes; sent += many.length) await write(many)
}

/** An entry of a small blob without zlib's help: a stored block. */
function storedBlob(n: number): Uint8Array {
  const data = Buffer.alloc(4)
  data.writeUInt32BE(n)
  let [a, b] = [1, 0]
  for (const byte of data) {
    a = (a + byte) % 65_521
    b = (b + a) % 65_521
  }
  const adler = Buffer.alloc(4)
  adler.writeUInt32BE(((b << 16) | a) >>> 0)
  return rawEntry(3, 4, new Uint8Array(0), concatBytes(Uint8Array.of(0x78, 0x01, 0x01, 4, 0, 0xfb, 0xff), data, adler))
}

/** A pack of so many small blobs, piece by piece. */
function manyObjects(count: number, first: readonly Uint8Array[]): Uint8Array {
  const entries = [...first]
  for (let n = 0; n < count; n++) entries.push(storedBlob(n))
  return rawPack(entries)
}

/** `times` megabytes of zeros as one zlib stream, without making them. */
function zeros(megabytes: number): Uint8Array {
  const block = deflateRawSync(Buffer.alloc(1 << 20), { level: 9, finishFlush: 2 }) // Z_SYNC_FLUSH: another block may follow
  const body = Array.from({ length: megabytes }, () => new Uint8Array(block))
  return concatBytes(Uint8Array.of(0x78, 0x9c), ...body, Uint8Array.of(0x03, 0x00, 0, 0, 0, 1))
}

export const historyAttacks: readonly Contact[] = [
  {
    name: 'a commit with a signature of zeros over six levels of directories', async run(h) {
      const story = await h.conversation()
      const { root, objects } = nestedTrees(20, 6)
      const { head, object } = await commitOver(h, story, root, false)
      await h.feed(story, head, encodePack([object, ...objects]))
      for (let i = 0; i < 30; i++) await h.announce(story.id, head) // a refusal is remembered
      await wait(500)
      return { fetched: h.asked.get(head) }
    },
  },
  {
    name: 'the same, signed well, 1,000 wide', async run(h) {
      const story = await h.conversation()
      const { root, objects } = nestedTrees(1000, 7)
      const { head, object } = await commitOver(h, story, root, true)
      return h.feed(story, head, encodePack([object, ...objects]))
    },
  },
  {
    name: 'histories of large texts', async run(h) {
      const story = await h.conversation()
      for (let pack = 0; pack < (FULL ? 4 : 2); pack++) {
        const { head, pack: bytes } = await texts(h, story, FULL ? 240 : 30, (i) => `${pack} ${i} `.padEnd(1_000_000, 'a'))
        await h.feed(story, head, bytes, 1500, 40_000)
      }
      return { taken: (await h.pull(story)) !== undefined, objects: story.objects.size }
    },
  },
  {
    name: 'versions of a large profile, and all of them wanted', async run(h) {
      const story = await h.conversation()
      const verdicts: string[] = []
      for (let round = 0; round < 2; round++) {
        const known = new Set(story.objects.keys())
        for (let i = 0; i < (FULL ? 25 : 6); i++)
          await story.tell({ author: h.identity, type: 'application/update-profile', fields: {}, edits: { 'profile.vcf': `${round} ${i} `.padEnd(7_900_000, 'v') }, timeS: Math.floor(Date.now() / 1000) })
        verdicts.push(await h.feed(story, story.head, encodePack(since(story, known)), 1500, 40_000))
      }
      const begun = story.objects.size
      const again = new Story()
      Object.defineProperty(again, 'id', { value: story.id })
      await h.pull(again)
      return { verdicts, objects: begun, served: again.objects.size }
    },
  },
  {
    name: 'empty packets of the side-band', async run(h) {
      const story = await h.conversation()
      const { head } = await pretext(h, story)
      return h.feed(story, head, (write) => flood(write, band(new Uint8Array(0)), FULL ? 39e6 : 4e6))
    },
  },
  {
    name: 'packets of one byte', async run(h) {
      const story = await h.conversation()
      const { head, entries } = await pretext(h, story)
      const pack = rawPack([...entries, ...Array.from({ length: 100 }, (_, n) => entry({ type: 'blob', data: Buffer.alloc(200_000, String(n)) }))])
      return h.feed(story, head, async (write) => {
        for (let at = 0; at < pack.length; at += 8000) await write(concatBytes(...Array.from(pack.subarray(at, at + 8000), (byte) => band(Uint8Array.of(byte)))))
        await flood(write, band(Uint8Array.of(0)), FULL ? 20e6 : 2e6)
        await write(FLUSH)
      })
    },
  },
  {
    name: 'a delta of one-byte copies', run: (h) => feedEntries(h, () => {
      const base: GitObject = { type: 'blob', data: Buffer.alloc(100, 'b') }
      const count = 4_000_000
      const operations = new Uint8Array(2 * count)
      for (let i = 0; i < operations.length; i += 2) operations.set([0x90, 1], i)
      const delta = concatBytes(Uint8Array.from(varint(100)), Uint8Array.from(varint(count)), operations)
      return [entry(base), refDelta(objectId(base), delta)]
    }),
  },
  {
    name: 'deltas of as many copies as may be', run: (h) => feedEntries(h, () => {
      const base: GitObject = { type: 'blob', data: Buffer.alloc(100, 'b') }
      return [entry(base), ...Array.from({ length: 12 }, (_, n) => {
        const count = 260_000 + n
        const operations = new Uint8Array(2 * count)
        for (let i = 0; i < operations.length; i += 2) operations.set([0x90, 1], i)
        return refDelta(objectId(base), concatBytes(Uint8Array.from(varint(100)), Uint8Array.from(varint(count)), operations))
      })]
    }),
  },
  {
    name: '500,000 objects', async run(h) {
      const story = await h.conversation()
      const { head, entries } = await pretext(h, story)
      await h.feed(story, head, manyObjects(500_000, entries), 300, 30_000)
      return { fetched: h.asked.get(head) }
    },
  },
  {
    name: 'as many objects as may be', async run(h) {
      const story = await h.conversation()
      const { head, entries } = await pretext(h, story)
      return h.feed(story, head, manyObjects(99_000, entries), 2000, 30_000)
    },
  },
  { name: 'a zip bomb that declares 8 MB', run: (h) => feedEntries(h, () => [rawEntry(3, 8 << 20, new Uint8Array(0), zeros(500))]) },
  { name: 'a zip bomb that declares what it is', run: (h) => feedEntries(h, () => [rawEntry(3, 500 << 20, new Uint8Array(0), zeros(500))]) },
  { name: 'objects as large as may be', run: (h) => feedEntries(h, () => Array.from({ length: 31 }, (_, n) => rawEntry(3, 8 << 20, new Uint8Array(0), new Uint8Array(deflateSync(Buffer.alloc(8 << 20, n))))), 2500) },
]

