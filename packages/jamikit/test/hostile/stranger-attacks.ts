// What a stranger with a UDP socket can do, by name. Sizes by JAMIKIT_SIM.
import { createPublicKey, randomBytes } from 'node:crypto'
import { decodeMsgpack, encodeMsgpack, utf8 } from '@jamikit/core/codec'
import type { ConversationId, DeviceIdentity, InfoHash } from '@jamikit/core/contracts'
import { encryptForSync, rsaSignSync } from '@jamikit/core/crypto'
import { certificateKey, chainToPem, deviceIdOf, inboxKey, issueDeviceCertificate, makeAnnouncement, peerKey, shortIdOf } from '@jamikit/core/identity'
import { TEST_IDENTITIES, testIdentity } from '@jamikit/core/testing'
import { CERTIFICATE_TYPE } from '../../../core/src/account/certificate-directory.ts'
import { encodeTrustRequest, TRUST_REQUEST_TYPE } from '../../../core/src/account/trust-request-wire.ts'
import { encodePeerRequest, USER_TYPE } from '../../../ice/src/wire/peer-request.ts'
import { encodeMessage } from '../../../dht/src/wire/message.ts'
import { encodeBody, encodeContent, type ValueBody } from '../../../dht/src/wire/value.ts'
import { type Attack, FULL, wait } from './arena.ts'
import { clear, rate, sealed, type Stranger } from './stranger.ts'

type Stranges = Attack<Stranger>

const SECONDS = FULL ? 10 : 1.2
/** Longer than a node keeps pieces of a value whose rest does not come (spec 01). */
const PIECES_LIVE_MS = 12_000

/** What a certificate value holds. */
const certificateData = (pem: string): Uint8Array => encodeMsgpack(utf8(pem))

/** The key of a device, as the DHT shows it. */
async function deviceKeys(s: Stranger): Promise<{ victim: Uint8Array; victimShort: InfoHash; friend: Uint8Array }> {
  const keyOf = async (uri: string): Promise<Uint8Array> => {
    for await (const { data } of s.dht.get(uri as InfoHash, { timeoutMs: 5000 })) {
      const map = decodeMsgpack(data, { maxDepth: 3, maxItems: 16, maxBytes: 8192 })
      const pk = map instanceof Map ? map.get('pk') : undefined
      if (pk instanceof Uint8Array) return pk
    }
    throw new Error(`no announcement of ${uri}`)
  }
  const victim = await keyOf(s.arena.victimUri)
  return { victim, victimShort: shortIdOf(victim), friend: await keyOf(s.arena.friendUri) }
}

const odd = (bits: number): bigint => BigInt(`0x${randomBytes(bits / 8).toString('hex')}`) | 1n | (1n << BigInt(bits - 1))
const base64url = (n: bigint): string => Buffer.from(n.toString(16).padStart(2 * Math.ceil(n.toString(16).length / 2), '0'), 'hex').toString('base64url')

/** Sealed for a device, signed by another one. */
function sealedValue(from: DeviceIdentity, to: Uint8Array, toShort: InfoHash, body: Pick<ValueBody, 'type' | 'data' | 'userType'>): Uint8Array {
  const unsigned: ValueBody = { ...body, owner: from.privateKey.publicKey, seq: 0, to: toShort, signature: undefined }
  const signature = rsaSignSync(from.privateKey, encodeBody(unsigned))
  return encryptForSync(to, encodeContent({ ...unsigned, signature }), (length) => new Uint8Array(randomBytes(length)))
}

export const strangerAttacks: readonly Stranges[] = [
  {
    name: 'signatures of a key with an exponent of 3,070 bits', async run(s) {
      const owner = new Uint8Array(createPublicKey({ key: { kty: 'RSA', n: base64url(odd(3072)), e: base64url(odd(3064)) }, format: 'jwk' }).export({ type: 'spki', format: 'der' }))
      const sources = await s.sources(4)
      for (const source of sources) await source.token()
      await rate(200, SECONDS, (i) => void sources[i % 4]?.put(s.randomKey(), [clear(BigInt(i + 1), Uint8Array.of(1), { owner, signature: new Uint8Array(randomBytes(384)) })]))
    },
  },
  {
    name: 'signatures that do not hold, of good keys', async run(s) {
      const { privateKey } = testIdentity(1).device
      const sources = await s.sources(20)
      for (const source of sources) await source.token()
      await rate(1500, SECONDS, (i) => void sources[i % 20]?.put(s.randomKey(), [clear(BigInt(i + 1), Uint8Array.of(i), { owner: privateKey.publicKey, signature: new Uint8Array(256) })]))
    },
  },
  {
    name: 'one ciphertext under ever new ids', async run(s) {
      const { victim, victimShort } = await deviceKeys(s)
      const from = testIdentity(2).device
      const cypher = sealedValue(from, victim, victimShort, { type: TRUST_REQUEST_TYPE, data: encodeTrustRequest({ conversation: undefined, payload: new Uint8Array(0), confirm: false, invitedMs: 1 }), userType: '' })
      const sources = await s.sources(10)
      for (const source of sources) await source.token()
      for (const key of [inboxKey(victimShort), peerKey(deviceIdOf(victim))]) await rate(400, SECONDS, (i) => void sources[i % 10]?.put(key, [sealed(BigInt(i + 1), cypher)]))
    },
  },
  {
    name: 'ciphertexts that are none', async run(s) {
      const { victim } = await deviceKeys(s)
      const sources = await s.sources(10)
      for (const source of sources) await source.token()
      await rate(600, SECONDS, (i) => void sources[i % 10]?.put(peerKey(deviceIdOf(victim)), [sealed(BigInt(1e6 + i), new Uint8Array(randomBytes(700)))]))
    },
  },
  {
    name: 'requests to connect from devices that nobody knows', async run(s) {
      const { victim, victimShort } = await deviceKeys(s)
      const sources = await s.sources(10)
      for (const source of sources) await source.token()
      const bodies = Array.from({ length: FULL ? 2000 : 400 }, (_, i) => sealedValue(testIdentity(4 + (i % (TEST_IDENTITIES - 4))).device, victim, victimShort, {
        type: 0, userType: USER_TYPE, data: encodePeerRequest({ id: 1e7 + i, isAnswer: false, connType: '', iceMessage: `${i}\npassword${i}\nF 1 TCP 1 127.0.0.1 9 typ host tcptype active\n` }),
      }))
      await rate(bodies.length / SECONDS, SECONDS, (i) => void sources[i % 10]?.put(peerKey(deviceIdOf(victim)), [sealed(BigInt(2e6 + i), bodies[i] as Uint8Array)]))
    },
  },
  {
    name: 'a stranger certifies the key of the contact', async run(s) {
      const { friend } = await deviceKeys(s)
      const thief = testIdentity(3)
      const certificate = await issueDeviceCertificate({ crypto: s.crypto, clock: s.clock, random: s.random } as never, { accountKey: thief.accountKey, account: thief.accountChain[0], devicePublicKey: friend })
      const data = certificateData([certificate, ...thief.accountChain].map(({ pem }) => pem).join(''))
      const packed = await makeAnnouncement(s.crypto, { accountKey: thief.accountKey, devicePublicKey: friend })
      await Promise.race([wait(3000), Promise.all([
        s.put(certificateKey(deviceIdOf(friend)), { data, type: CERTIFICATE_TYPE, id: 2n }), s.put(certificate.shortId as InfoHash, { data, type: CERTIFICATE_TYPE, id: 2n }),
        s.dht.put(thief.device.accountId as string as InfoHash, { packed }).catch(() => {}),
      ])])
    },
  },
  {
    name: 'a certificate with a made-up signature at the place of the real one', async run(s) {
      const { friend, victim } = await deviceKeys(s)
      const [source] = await s.sources(1)
      for (const key of [friend, victim]) {
        const thief = testIdentity(3)
        const pem = chainToPem(thief.device.chain)
        await source?.put(certificateKey(deviceIdOf(key)), [1n, 2n, 3n].map((id) => clear(id, certificateData(pem), { type: CERTIFICATE_TYPE })))
      }
      await wait(500)
    },
  },
  {
    name: 'requests of many strangers, with all that fits into them', async run(s) {
      const { victim, victimShort } = await deviceKeys(s)
      const keys = Array.from({ length: TEST_IDENTITIES - 4 }, (_, i) => testIdentity(4 + i).device)
      await Promise.race([wait(3000), Promise.all(keys.flatMap((device) => [certificateKey(device.deviceId), device.deviceShortId].map((key) =>
        s.put(key, { data: certificateData(chainToPem(device.chain)), type: CERTIFICATE_TYPE, id: 1n }))))])
      const [source] = await s.sources(1)
      for (let i = 4; i < TEST_IDENTITIES; i++)
        for (let n = 0; n < 4; n++) await source?.put(inboxKey(victimShort), [sealed(BigInt(3e6 + 100 * i + n), sealedValue(testIdentity(i).device, victim, victimShort, {
          type: TRUST_REQUEST_TYPE, userType: '', data: encodeTrustRequest({ conversation: n.toString(16).padStart(40, 'c') as ConversationId, payload: utf8(`BEGIN:VCARD\nFN:${'x'.repeat(30_000)}\nEND:VCARD`), confirm: false, invitedMs: Date.now() }),
        }))])
      await wait(1500)
      return s.arena.victim.ask('state')
    },
  },
  {
    name: 'listens and puts of one address', async run(s) {
      const [source] = await s.sources(1)
      if (!source) return undefined
      const token = await source.token()
      await rate(900, SECONDS, (i) => source.send('listen', { h: s.randomKey(), sid: i + 1, ve: 1, token }))
      await rate(900, SECONDS, (i) => source.send('put', { h: s.randomKey(), values: [clear(BigInt(i + 1), new Uint8Array(500))], token }))
      return { answers: source.received }
    },
  },
  {
    name: 'puts of a hundred addresses in as many networks', async run(s) {
      const sources = await s.sources(100)
      for (const source of sources) await source.token()
      await rate(4000, SECONDS, (i) => void sources[i % 100]?.put(s.randomKey(), [clear(BigInt(i + 1), new Uint8Array(500))]))
    },
  },
  {
    name: 'junk at the keys of a contact', async run(s) {
      const sources = await s.sources(20)
      for (const source of sources) await source.token()
      await rate(FULL ? 1000 : 800, SECONDS, (i) => void sources[i % 20]?.put(s.arena.friendUri as InfoHash, [clear(BigInt(i + 1), utf8(`junk ${i}`))]))
      await wait(500)
      return s.arena.victim.ask('state')
    },
  },
  {
    name: 'pings with ever new ids', async run(s) {
      const sources = await s.sources(100)
      await rate(6000, SECONDS, (i) => sources[i % 100]?.send('ping', { id: s.randomKey() }))
    },
  },
  {
    name: 'a ping with the id of a node that is known', async run(s) {
      const [source] = await s.sources(1)
      const answer = await source?.ask('find', { target: s.dht.nodeId })
      const known = answer?.kind === 'reply' ? (answer.args.n4 ?? []) : []
      for (const { id } of known) for (let i = 0; i < 5; i++) source?.send('ping', { id })
      await wait(1000)
      const after = await source?.ask('find', { target: s.dht.nodeId })
      return { before: known.length, after: after?.kind === 'reply' ? after.args.n4?.length : 'silence' }
    },
  },
  {
    name: 'a get without a token', async run(s) {
      const key = s.randomKey()
      const [writer, reader] = await s.sources(2)
      if (!writer || !reader) return undefined
      for (let i = 0; i < 40; i++) await writer.put(key, [clear(BigInt(i + 1), new Uint8Array(30_000))])
      await wait(500)
      const { datagrams } = reader.datagrams('get', { h: key })
      const asked = datagrams.reduce((sum, d) => sum + d.length, 0)
      reader.send('get', { h: key })
      await wait(500)
      return { asked, drawn: reader.receivedBytes }
    },
  },
  {
    name: 'values in pieces that never end', async run(s) {
      const sources = await s.sources(40)
      for (const source of sources) await source.token()
      await rate(400, SECONDS, async (i) => {
        const source = sources[i % 40]
        if (!source) return
        const token = await source.token()
        const { datagrams } = source.datagrams('put', { h: s.randomKey(), values: [clear(BigInt(i + 1), new Uint8Array(60_000))], token })
        source.throw(datagrams.slice(0, -1))
      })
      await wait(PIECES_LIVE_MS) // what is held of them is held so long
    },
  },
  {
    name: 'answers that nobody asked for', async run(s) {
      const sources = await s.sources(40)
      await rate(6000, SECONDS, (i) => {
        const source = sources[i % 40]
        source?.throw(encodeMessage({ kind: 'reply', tid: i, network: 0, client: false, args: { id: s.randomKey(), sa: Uint8Array.of(9, 9, 9, 9), token: Uint8Array.of(1), values: [clear(1n, new Uint8Array(400))] } }))
      })
    },
  },
  {
    name: 'garbage, and maps that lie about their length', async run(s) {
      const sources = await s.sources(40)
      await rate(6000, SECONDS, (i) => {
        const bytes = new Uint8Array(randomBytes(1 + (i % 1400)))
        bytes.set([[0xdf, 0xff, 0xff, 0xff, 0xff], [0xdd, 0x7f, 0xff, 0xff, 0xff], [0xc6, 0xff, 0xff, 0xff, 0xff], [0x81, 0xa1, 0x61], [0x91, 0x91, 0x91, 0x91]][i % 5]?.slice(0, bytes.length) ?? [])
        sources[i % 40]?.throw([bytes])
      })
    },
  },
  {
    name: 'gets with tokens that are none', async run(s) {
      const sources = await s.sources(20)
      await rate(4000, SECONDS, (i) => sources[i % 20]?.send('get', { h: s.randomKey(), token: utf8('none'), query: { select: [1, 2, 3, 4, 5], where: {} } as never }))
    },
  },
]
