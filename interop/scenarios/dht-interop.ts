// Our DHT nodes and OpenDHT 2.4.12 in one network, each kind reading what the other wrote, over IPv4 and over IPv6.
// docs/protocol/01-opendht.md. Two of each, so that every value is stored by both kinds.
import type { OpenDht, OpenDhtValue } from '../lib/opendht.ts'
import { must, type Scenario, type Stage } from '../lib/scenario.ts'
import type { Sdk } from '../lib/sdk.ts'

interface SdkValue {
  readonly id: string
  readonly data: string
  readonly userType: string
  readonly signer: string
  readonly encrypted: boolean
}

const bytesOf = (base64: string) => Buffer.from(base64, 'base64')
const base64 = (text: string) => Buffer.from(text).toString('base64')
/** What the driver makes of `size`. */
const filler = (size: number) => Buffer.from(Uint8Array.from({ length: size }, (_, i) => i & 255))
const LARGE = 60_000

const sdkGet = async (sdk: Sdk, key: string, decrypt = false) => (await sdk.call('dht.get', key, { decrypt, timeoutMs: 20_000 })) as SdkValue[]
const has = (values: readonly OpenDhtValue[], data: Uint8Array) => values.find((value) => Buffer.compare(value.data, data) === 0)
const sdkHas = (values: readonly SdkValue[], data: Uint8Array) => values.find((value) => Buffer.compare(bytesOf(value.data), data) === 0)

async function family(stage: Stage, ip: 'IPv4' | 'IPv6', firstHost: number): Promise<void> {
  const v6 = ip === 'IPv6'
  const [h1, h2, h3, h4] = [firstHost, firstHost + 1, firstHost + 2, firstHost + 3] as const
  // OpenDHT 2.4.12 listens on IPv6 only when it has an IPv4 socket, too: give it one that reaches nobody
  const bind = (host: number) => (v6 ? { bind4: '127.0.0.1', bind6: stage.net.v6(host) } : { bind4: stage.net.v4(host) })
  const address = (host: number) => (v6 ? `[${stage.net.v6(host)}]` : stage.net.v4(host))
  const identity = { generate: 'rsa', bits: 2048 }
  const key = (name: string) => `${ip}/${name}`

  let a!: OpenDht
  let b!: OpenDht
  let s!: Sdk
  let t!: Sdk
  await stage.step(`${ip}: two OpenDHT nodes and two of ours find each other; one OpenDHT node enters through ours`, async () => {
    a = await stage.opendht(`opendht-a-${ip}`, h1, { port: 4222, ...bind(h1), isBootstrap: true, identity })
    s = await stage.bareSdk(`sdk-s-${ip}`, h3)
    t = await stage.bareSdk(`sdk-t-${ip}`, h4)
    const { port } = (await s.call('dht.start', { bootstrap: [`${address(h1)}:${a.port}`], port: 4222 })) as { port: number }
    await s.call('dht.connected', v6 ? 'ipv6' : 'ipv4', 20_000)
    b = await stage.opendht(`opendht-b-${ip}`, h2, { port: 4222, ...bind(h2), bootstrap: [`${address(h3)}:${port}`], identity })
    await b.connected(v6 ? 'ipv6' : 'ipv4')
    await t.call('dht.start', { bootstrap: [`${address(h2)}:${b.port}`], port: 4222 })
    await t.call('dht.connected', v6 ? 'ipv6' : 'ipv4', 20_000)
  })
  const ownKey = (await s.call('dht.identity')) as { publicKeyPem: string; shortId: string }

  // plain ----------------------------------------------------------------------------------------
  await stage.step(`${ip}: a value put by OpenDHT is stored by our nodes too`, async () => {
    const reply = await b.op('put', { key: key('plain-in'), data: base64('from opendht'), userType: 'text' })
    const stored = Array.isArray(reply.nodes) ? reply.nodes.map((node) => String((node as Record<string, unknown>).id)) : []
    const ours = (await s.call('dht.nodeId')) as string
    must(stored.includes(ours), `stored by ${stored.join(', ')}, not by ${ours}`)
  })
  await stage.step(`${ip}: our get reads what OpenDHT put`, async () => {
    for (const node of [s, t]) {
      const found = sdkHas(await sdkGet(node, key('plain-in')), Buffer.from('from opendht'))
      must(found?.userType === 'text', 'value not found or user type lost')
    }
  })
  await stage.step(`${ip}: OpenDHT's get reads what we put`, async () => {
    const { id } = (await s.call('dht.put', key('plain-out'), { data: base64('from jamikit'), userType: 'text' })) as { id: string }
    for (const node of [a, b]) {
      const found = has(await node.get(key('plain-out')), Buffer.from('from jamikit'))
      must(found?.vid === id && found.userType === 'text', `value, id or user type differ: ${JSON.stringify(found)}`)
    }
  })

  // listen ---------------------------------------------------------------------------------------
  await stage.step(`${ip}: OpenDHT's listen hears our put`, async () => {
    await a.listen(key('listen-out'), 'L')
    await t.call('dht.put', key('listen-out'), { data: base64('news from jamikit') })
    await a.delivered('L', (value) => Buffer.from(value.data).toString() === 'news from jamikit', { timeoutMs: 15_000 })
  })
  await stage.step(`${ip}: our listen hears OpenDHT's put`, async () => {
    await s.call('dht.listen', key('listen-in'), 'L')
    await b.op('put', { key: key('listen-in'), data: base64('news from opendht') })
    await s.wait('dht.value', (args) => args[0] === 'L' && bytesOf((args[1] as SdkValue).data).toString() === 'news from opendht', { timeoutMs: 15_000 })
  })

  // 60 kB ----------------------------------------------------------------------------------------
  await stage.step(`${ip}: OpenDHT reads a value of 60,000 bytes that we put`, async () => {
    await t.call('dht.put', key('large-out'), { size: LARGE })
    must(has(await a.get(key('large-out')), filler(LARGE)) !== undefined, 'not found, or its bytes differ')
  })
  await stage.step(`${ip}: we read a value of 60,000 bytes that OpenDHT put`, async () => {
    await b.op('put', { key: key('large-in'), size: LARGE })
    for (const node of [s, t]) must(sdkHas(await sdkGet(node, key('large-in')), filler(LARGE)) !== undefined, `${node.label}: not found, or its bytes differ`)
  })

  // signed ---------------------------------------------------------------------------------------
  await stage.step(`DHT-45 ${ip}: OpenDHT verifies the signature of a value that we signed`, async () => {
    await s.call('dht.put', key('signed-out'), { data: base64('signed by jamikit'), sign: true })
    const found = has(await b.get(key('signed-out')), Buffer.from('signed by jamikit'))
    must(found?.signed === true && found.signatureValid && found.owner === ownKey.shortId, `not signed, not valid or not ours: ${JSON.stringify(found)}`)
  })
  await stage.step(`${ip}: we verify the signature of a value that OpenDHT signed`, async () => {
    await a.op('putSigned', { key: key('signed-in'), data: base64('signed by opendht') })
    const found = sdkHas(await sdkGet(t, key('signed-in')), Buffer.from('signed by opendht'))
    must(found?.signer === a.identity, `signer ${found?.signer}, expected ${a.identity}`)
  })

  // encrypted ------------------------------------------------------------------------------------
  await stage.step(`DHT-46 ${ip}: OpenDHT opens values that we encrypted for it, short and hybrid`, async () => {
    const { certPem } = await a.op('identity')
    for (const text of ['for opendht only', 'x'.repeat(3000)]) {
      await s.call('dht.put', key('encrypted-out'), { data: base64(text), sign: true, encryptToCertPem: certPem })
      const found = has(await a.get(key('encrypted-out')), Buffer.from(text))
      must(found?.owner === ownKey.shortId, `not opened or not ours: ${JSON.stringify(found).slice(0, 200)}`)
    }
  })
  await stage.step(`${ip}: we open values that OpenDHT encrypted for us, by get and by listen`, async () => {
    await s.call('dht.listen', key('encrypted-in'), 'E', { decrypt: true })
    for (const text of ['for jamikit only', 'y'.repeat(3000)]) {
      await b.op('putEncrypted', { key: key('encrypted-in'), toKeyPem: ownKey.publicKeyPem, data: base64(text) })
      await s.wait('dht.value', (args) => args[0] === 'E' && bytesOf((args[1] as SdkValue).data).toString() === text, { timeoutMs: 15_000 })
      const found = sdkHas(await sdkGet(s, key('encrypted-in'), true), Buffer.from(text))
      must(found?.encrypted === true && found.signer === b.identity, `not opened or wrong signer: ${JSON.stringify(found).slice(0, 200)}`)
    }
    must((await sdkGet(t, key('encrypted-in'), true)).length === 0, 'somebody else opened them')
  })
  await stage.step(`${ip}: all four end cleanly`, async () => {
    for (const peer of [s, t, b, a]) await peer.stop()
  })
}

export const dhtInterop: Scenario = {
  name: 'dht-interop',
  about: 'our DHT nodes and OpenDHT 2.4.12 mixed: put, get, listen, 60 kB, signed, encrypted, both ways, IPv4 and IPv6',
  hosts: 8,
  budgetMs: { ci: 150_000, full: 300_000 },
  needs: ['opendht'],
  async run(stage) {
    await family(stage, 'IPv4', 1)
    await family(stage, 'IPv6', 5)
  },
}
