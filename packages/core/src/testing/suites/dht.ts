// Contract suite of Dht: the real node over a network of nodes, and the shared table of tests.
import { deepStrictEqual, ok, throws } from 'node:assert/strict'
import { utf8 } from '../../codec/bytes.ts'
import { encodeMsgpack, MsgpackRaw } from '../../codec/msgpack.ts'
import { sliceMsgpackMap } from '../../codec/slices.ts'
import type { Crypto } from '../../contracts/crypto.ts'
import type { Dht, DhtListenEvent, DhtValue } from '../../contracts/dht.ts'
import type { PrivateKey } from '../../contracts/identity.ts'
import type { InfoHash } from '../../contracts/ids.ts'
import { makeAnnouncement } from '../../identity/announcement.ts'
import { type ContractTest, rejectsWith, sameBytes, testsOf } from './contract-test.ts'

/** Nodes, and what they work with. */
export interface DhtUnderTest {
  /** Three nodes, started and connected with each other. */
  readonly nodes: readonly [Dht, Dht, Dht]
  /** Signs and encrypts for them. */
  readonly crypto: Crypto
  /** Two different RSA keys. */
  readonly keys: readonly [PrivateKey, PrivateKey]
  /** Waits for `work`, letting time pass as it must. */
  drive<T>(work: Promise<T>): Promise<T>
  /** Lets this much time pass; left out where time is real: then nothing about lifetimes is tested. */
  advance?(ms: number): Promise<void>
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

const MINUTE_MS = 60_000
let keys = 0
/** A key no other test uses. */
const freshKey = () => (++keys).toString(16).padStart(4, '0').repeat(10) as InfoHash

async function all(values: AsyncIterable<DhtValue>): Promise<DhtValue[]> {
  const out: DhtValue[] = []
  for await (const value of values) out.push(value)
  return out
}

/** What somebody signed, put again under another id, as anybody can. */
function replay(packed: Uint8Array, id: bigint): Uint8Array {
  const dat = sliceMsgpackMap(packed, { maxDepth: 8, maxItems: 100, maxBytes: 100_000 }).get('dat')
  return encodeMsgpack({ id, dat: new MsgpackRaw(dat ?? new Uint8Array(0)) as never })
}

const texts = (values: readonly DhtValue[]) => values.map(({ data }) => new TextDecoder().decode(data)).sort()

/** What a Dht must do, as tests to run one by one. @param make makes a fresh one for each test */
export function dhtSuite(make: () => DhtUnderTest | Promise<DhtUnderTest>): ContractTest[] {
  const test = testsOf(make, (t) => t.drive(Promise.all(t.nodes.map((node) => node.stop()))))
  /** Collects what a listen tells until `end`. */
  function follow(t: DhtUnderTest, node: Dht, key: InfoHash, options: { decryptWith?: PrivateKey; type?: number; userType?: string } = {}) {
    const controller = new AbortController()
    const events: DhtListenEvent[] = []
    let wake = () => {}
    const running = (async () => {
      for await (const event of node.listen(key, { ...options, signal: controller.signal })) {
        events.push(event)
        wake()
      }
    })()
    return {
      events,
      shown: () => events.map(({ value, expired }) => `${expired ? '-' : '+'}${new TextDecoder().decode(value.data)}`),
      count: (n: number) =>
        t.drive(new Promise<void>((resolve) => {
          wake = () => {
            if (events.length >= n) resolve()
          }
          wake()
        })),
      async end() {
        controller.abort()
        await t.drive(running)
      },
    }
  }

  return [
    test('has an id, a state and a number of nodes', async ({ nodes }) => {
      for (const node of nodes) {
        ok(/^[0-9a-f]{40}$/.test(node.nodeId))
        ok(Object.values(node.status()).includes('connected'))
        ok(node.nodeCount().ipv4 + node.nodeCount().ipv6 >= 1)
      }
      deepStrictEqual(new Set(nodes.map((node) => node.nodeId)).size, 3)
    }),
    test('a value put at one node is found at the others and at itself', async ({ nodes, drive }) => {
      const key = freshKey()
      const { id, storedBy } = await drive(nodes[0].put(key, { data: utf8('hello'), userType: 'text/plain', id: 0x1122334455667788n }))
      deepStrictEqual(id, 0x1122334455667788n)
      ok(storedBy >= 1)
      for (const node of nodes) {
        const [value, ...more] = await drive(all(node.get(key)))
        deepStrictEqual(more, [])
        sameBytes(value?.data, utf8('hello'))
        deepStrictEqual([value?.id, value?.type, value?.userType, value?.signer, value?.encrypted], [id, 0, 'text/plain', undefined, false])
      }
    }),
    test('without an id, or with id 0, a random one is chosen', async ({ nodes, drive }) => {
      const key = freshKey()
      const ids = [await drive(nodes[0].put(key, { data: utf8('a') })), await drive(nodes[1].put(key, { data: utf8('b'), id: 0n }))].map((result) => result.id)
      ok(ids.every((id) => id > 0n && id < 1n << 64n) && ids[0] !== ids[1])
      deepStrictEqual(texts(await drive(all(nodes[2].get(key)))), ['a', 'b'])
    }),
    test('a get of a key without values ends', async ({ nodes, drive }) => {
      deepStrictEqual(await drive(all(nodes[0].get(freshKey()))), [])
    }),
    test('a get can be left early', async ({ nodes, drive }) => {
      const key = freshKey()
      await drive(Promise.all([nodes[0].put(key, { data: utf8('a') }), nodes[0].put(key, { data: utf8('b') })]))
      const first = async () => {
        for await (const value of nodes[1].get(key)) return value
        return undefined
      }
      ok(await drive(first()))
    }),
    test('filters by type, id and user type', async ({ nodes, drive }) => {
      const key = freshKey()
      await drive(nodes[0].put(key, { data: utf8('plain'), id: 1n }))
      await drive(nodes[0].put(key, { data: utf8('typed'), id: 2n, type: 10 }))
      await drive(nodes[0].put(key, { data: utf8('named'), id: 3n, userType: 'x' }))
      deepStrictEqual(texts(await drive(all(nodes[1].get(key)))), ['named', 'plain', 'typed'])
      deepStrictEqual(texts(await drive(all(nodes[1].get(key, { type: 10 })))), ['typed'])
      deepStrictEqual(texts(await drive(all(nodes[1].get(key, { userType: 'x' })))), ['named'])
      deepStrictEqual(texts(await drive(all(nodes[1].get(key, { id: 1n })))), ['plain'])
    }),
    test('an unsigned value is not replaced by another one with its id', async ({ nodes, drive }) => {
      const key = freshKey()
      await drive(nodes[0].put(key, { data: utf8('first'), id: 5n }))
      await drive(nodes[1].put(key, { data: utf8('second'), id: 5n }))
      // Who put the second one may still show its own; nobody lost the first one to it.
      deepStrictEqual(texts(await drive(all(nodes[2].get(key))))[0], 'first')
    }),
    test('60,000 bytes arrive whole', async ({ nodes, drive }) => {
      const key = freshKey()
      const data = new Uint8Array(60_000).map((_, i) => (i * 2654435761) >>> 24)
      await drive(nodes[0].put(key, { data }))
      const [value] = await drive(all(nodes[2].get(key)))
      sameBytes(value?.data, data)
    }),
    test('a signed value names its signer', async ({ nodes, keys: [own], drive }) => {
      const key = freshKey()
      await drive(nodes[0].put(key, { data: utf8('signed'), sign: own }))
      const [value] = await drive(all(nodes[2].get(key)))
      sameBytes(value?.data, utf8('signed'))
      sameBytes(value?.signer, own.publicKey)
    }),
    test('an encrypted value opens for its receiver, with its sender, and for nobody else', async ({ nodes, keys: [own, other], drive }) => {
      const key = freshKey()
      await drive(nodes[0].put(key, { data: utf8('secret'), type: 3, userType: 'u', sign: own, encryptTo: other.publicKey }))
      const [value, ...more] = await drive(all(nodes[1].get(key, { decryptWith: other })))
      deepStrictEqual([more.length, value?.encrypted, value?.type, value?.userType], [0, true, 3, 'u'])
      sameBytes(value?.data, utf8('secret'))
      sameBytes(value?.signer, own.publicKey)
      deepStrictEqual(await drive(all(nodes[1].get(key))), [])
      deepStrictEqual(await drive(all(nodes[1].get(key, { decryptWith: own }))), [])
      deepStrictEqual((await drive(all(nodes[1].get(key, { decryptWith: other, type: 3 })))).length, 1)
      deepStrictEqual((await drive(all(nodes[1].get(key, { decryptWith: other, type: 4 })))).length, 0)
    }),
    test('a signed value is replaced by its owner with a higher number, and by nobody with a lower one', async (t) => {
      const { nodes, keys: [own], drive } = t
      const key = freshKey()
      const following = follow(t, nodes[2], key)
      for (const [seq, text] of [[1, 'one'], [65_535, 'last'], [7, 'seven']] as const) {
        await drive(nodes[0].put(key, { data: utf8(text), id: 5n, sign: own, seq }))
        if (seq !== 7) await following.count(seq === 1 ? 1 : 2)
      }
      await following.end()
      deepStrictEqual(following.shown(), ['+one', '+last'])
      const [value] = await drive(all(nodes[2].get(key)))
      deepStrictEqual([value?.seq, value && new TextDecoder().decode(value.data)], [65_535, 'last'])
    }),
    test('signed content that is put again under other ids is found once, told at most once a minute, and each that was told is gone with its ids', async (t) => {
      const { nodes, keys: [own, other], crypto, drive, advance } = t
      const key = freshKey()
      const packed = await drive(makeAnnouncement(crypto, { accountKey: own, devicePublicKey: other.publicKey }))
      const following = follow(t, nodes[1], key)
      const { id } = await drive(nodes[0].put(key, { packed }))
      await following.count(1)
      for (let i = 1n; i <= 10n; i++) await drive(nodes[2].put(key, { packed: replay(packed, id + i) }))
      deepStrictEqual((await drive(all(nodes[1].get(key)))).length, 1)
      if (advance) {
        await advance(7 * MINUTE_MS)
        await drive(nodes[2].put(key, { packed: replay(packed, id + 1n) })) // refreshed
        await drive(nodes[2].put(key, { packed: replay(packed, id + 99n) })) // as of a device that starts anew
        await advance(6 * MINUTE_MS)
        deepStrictEqual(following.events.map(({ value, expired }) => [value.id, expired]), [[id, false], [id + 99n, false]])
        await advance(6 * MINUTE_MS)
        deepStrictEqual(following.events.filter(({ expired }) => expired).map(({ value }) => value.id).sort(), [id, id + 99n].sort())
      }
      await following.end()
      ok(following.events.filter(({ expired }) => !expired).length <= 2)
    }),
    test('whoever encrypts the same content anew means it anew: it is told again', async (t) => {
      const { nodes, keys: [own, other], drive } = t
      const key = freshKey()
      const put = { data: utf8('again'), sign: own, encryptTo: other.publicKey }
      const following = follow(t, nodes[1], key, { decryptWith: other })
      await drive(nodes[0].put(key, put))
      await following.count(1)
      await drive(nodes[0].put(key, put))
      await following.count(2)
      deepStrictEqual((await drive(all(nodes[1].get(key, { decryptWith: other })))).length, 2)
      await following.end()
    }),
    test('arguments that are none are refused at the call: ERR_ARGUMENT with field, got and allowed', async ({ nodes: [node], keys: [own], drive }) => {
      const key = freshKey()
      const data = utf8('x')
      const { signal } = new AbortController()
      const puts: [string, unknown, unknown, unknown?][] = [
        ['key', 'ab', { data }], ['key', key.toUpperCase().replaceAll('0', 'A'), { data }], ['key', undefined, { data }],
        ['value', key, undefined], ['value', key, null], ['value', key, 'text'], ['value.data', key, {}], ['value.data', key, { data: 'text' }], ['value.data', key, { data: new Uint8Array(65_537) }],
        ['value.id', key, { data, id: 1n << 64n }], ['value.id', key, { data, id: -1n }], ['value.id', key, { data, id: 5 }],
        ['value.type', key, { data, type: 65_536 }], ['value.type', key, { data, type: 1.5 }], ['value.type', key, { data, type: '1' }],
        ['value.userType', key, { data, userType: 5 }], ['value.userType', key, { data, userType: '\ud800' }], ['value.userType', key, { data, userType: 'é'.repeat(513) }],
        ['value.sign', key, { data, sign: {} }], ['value.sign', key, { data, sign: 'pem' }], ['value.seq', key, { data, seq: 1 }], ['value.seq', key, { data, sign: own, seq: 65_536 }], ['value.seq', key, { data, sign: own, seq: -1 }],
        ['value.encryptTo', key, { data, encryptTo: own.publicKey }], ['value.encryptTo', key, { data, sign: own, encryptTo: 'key' }],
        ['value.priority', key, { data, priority: -1 }], ['value.pushType', key, { data, pushType: 'x'.repeat(257) }], ['value.packed', key, { packed: 'text' }], ['value.packed', key, { packed: undefined }],
        ['value.ID', key, { data, ID: 1n }], ['value.data', key, { packed: data, data }],
        ['permanent', key, { data }, { permanent: 'yes' }], ['timeoutMs', key, { data }, { timeoutMs: -1 }], ['timeoutMs', key, { data }, { timeoutMs: '5' }], ['signal', key, { data }, { signal: {} }], ['persistent', key, { data }, { persistent: true }], ['options', key, { data }, 5],
      ]
      for (const [field, k, put, options] of puts) {
        const error = await drive(node.put(k as InfoHash, put as never, options as never).then(() => undefined, (e: unknown) => e as { code?: string; details?: Record<string, unknown> }))
        deepStrictEqual([error?.code, error?.details?.field], ['ERR_ARGUMENT', field])
        ok(error?.details && 'got' in error.details && typeof error.details.allowed === 'string')
      }
      const reads: [string, unknown, unknown][] = [
        ['key', 'x', { signal }], ['type', key, { signal, type: -1 }], ['userType', key, { signal, userType: 7 }], ['decryptWith', key, { signal, decryptWith: own.pem }], ['signal', key, { signal: 1 }], ['limit', key, { signal, limit: 1 }],
      ]
      const refuses = (field: string, call: () => unknown) => throws(call, (e: { code?: string; details?: Record<string, unknown> }) => e.code === 'ERR_ARGUMENT' && e.details?.field === field)
      for (const [field, k, options] of reads) {
        refuses(field, () => node.get(k as InfoHash, options as never))
        refuses(field, () => node.listen(k as InfoHash, options as never))
      }
      refuses('id', () => node.get(key, { id: 1n << 64n }))
      refuses('timeoutMs', () => node.get(key, { timeoutMs: Number.NaN }))
      refuses('signal', () => node.listen(key, {} as never))
      refuses('signal', () => node.listen(key, undefined as never))
      refuses('id', () => node.listen(key, { signal, id: 1n } as never))
      for (const host of ['', 'host:99999', 'http://host:4222', 7]) {
        const error = await drive(node.bootstrap('good:4222', host as string).then(() => undefined, (e: unknown) => e as { code?: string; details?: Record<string, unknown> }))
        deepStrictEqual([error?.code, error?.details?.field], ['ERR_ARGUMENT', 'bootstrap[1]'])
      }
    }),
    test('encryption needs a signature', async ({ nodes, keys: [own], drive }) => {
      await rejectsWith('ERR_ARGUMENT', drive(nodes[0].put(freshKey(), { data: utf8('x'), encryptTo: own.publicKey })))
    }),
    test('a value signed before is put as it is', async ({ nodes, keys: [own, other], crypto, drive }) => {
      const key = freshKey()
      const packed = await drive(makeAnnouncement(crypto, { accountKey: own, devicePublicKey: other.publicKey }))
      const { id } = await drive(nodes[0].put(key, { packed }))
      ok(id > 0n)
      const [value] = await drive(all(nodes[1].get(key)))
      sameBytes(value?.signer, own.publicKey)
      deepStrictEqual(value?.id, id)
    }),
    test('a packed value with a wrong signature never appears', async ({ nodes, keys: [own, other], crypto, drive }) => {
      const key = freshKey()
      const packed = (await drive(makeAnnouncement(crypto, { accountKey: own, devicePublicKey: other.publicKey }))).slice()
      const at = packed.length - 10 // within the signature
      packed[at] = (packed[at] ?? 0) ^ 1
      await drive(nodes[0].put(key, { packed }).catch(() => {}))
      deepStrictEqual(await drive(all(nodes[1].get(key))), [])
    }),
    test('packed bytes that are no value are refused', async ({ nodes, drive }) => {
      for (const packed of [new Uint8Array(0), utf8('garbage'), Uint8Array.of(0x80)]) await rejectsWith('ERR_CODEC', drive(nodes[0].put(freshKey(), { packed })))
    }),
    test('listen tells existing and new values once each, and ends with its signal', async (t) => {
      const { nodes, drive } = t
      const key = freshKey()
      await drive(nodes[0].put(key, { data: utf8('old') }))
      const following = follow(t, nodes[1], key)
      await following.count(1)
      await drive(nodes[2].put(key, { data: utf8('new') }))
      await drive(nodes[0].put(freshKey(), { data: utf8('elsewhere') }))
      await following.count(2)
      await following.end()
      deepStrictEqual(following.shown(), ['+old', '+new'])
    }),
    test('listen opens what is encrypted for its key, and filters', async (t) => {
      const { nodes, keys: [own, other], drive } = t
      const key = freshKey()
      const mine = follow(t, nodes[1], key, { decryptWith: other })
      const typed = follow(t, nodes[1], key, { type: 12 })
      await drive(nodes[0].put(key, { data: utf8('sealed'), sign: own, encryptTo: other.publicKey }))
      await mine.count(1)
      await drive(nodes[0].put(key, { data: utf8('typed'), type: 12 }))
      await typed.count(1)
      await mine.count(2)
      await mine.end()
      await typed.end()
      deepStrictEqual(mine.shown(), ['+sealed', '+typed'])
      deepStrictEqual(typed.shown(), ['+typed'])
    }),
    test('values expire after ten minutes, and listeners are told', async (t) => {
      const { nodes, drive, advance } = t
      if (!advance) return
      const key = freshKey()
      const following = follow(t, nodes[1], key)
      await drive(nodes[0].put(key, { data: utf8('x') }))
      await following.count(1)
      await advance(9 * MINUTE_MS)
      deepStrictEqual((await drive(all(nodes[2].get(key)))).length, 1)
      await advance(3 * MINUTE_MS)
      deepStrictEqual(await drive(all(nodes[2].get(key))), [])
      await following.count(2)
      await following.end()
      deepStrictEqual(following.shown(), ['+x', '-x'])
    }),
    test('a permanent value stays until it is cancelled', async ({ nodes, drive, advance }) => {
      if (!advance) return
      const key = freshKey()
      const { cancel } = await drive(nodes[0].put(key, { data: utf8('x') }, { permanent: true }))
      await advance(45 * MINUTE_MS)
      deepStrictEqual((await drive(all(nodes[2].get(key)))).length, 1)
      cancel()
      cancel()
      await advance(25 * MINUTE_MS)
      deepStrictEqual(await drive(all(nodes[2].get(key))), [])
    }),
    test('calls end with the signal: ERR_ABORTED', async ({ nodes, drive }) => {
      const key = freshKey()
      await rejectsWith('ERR_ABORTED', drive(all(nodes[0].get(key, { signal: AbortSignal.abort() }))))
      await rejectsWith('ERR_ABORTED', drive(nodes[0].put(key, { data: utf8('x') }, { signal: AbortSignal.abort() })))
      const controller = new AbortController()
      const getting = all(nodes[0].get(key, { signal: controller.signal }))
      const putting = nodes[0].put(key, { data: utf8('x') }, { signal: controller.signal })
      controller.abort()
      await drive(Promise.all([rejectsWith('ERR_ABORTED', getting), rejectsWith('ERR_ABORTED', putting)]))
    }),
    test('stop() ends what is under way, and later calls are ERR_CLOSED', async (t) => {
      const { nodes, drive } = t
      const key = freshKey()
      const following = follow(t, nodes[0], key)
      const getting = all(nodes[0].get(key)).then(() => 'ended', (error: unknown) => (error as { code?: string }).code)
      await drive(nodes[0].stop())
      ok(['ended', 'ERR_CLOSED'].includes((await drive(getting)) ?? ''))
      await following.end()
      await rejectsWith('ERR_CLOSED', drive(all(nodes[0].get(key))))
      await rejectsWith('ERR_CLOSED', drive(nodes[0].put(key, { data: utf8('x') })))
    }),
  ]
}
