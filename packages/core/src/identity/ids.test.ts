import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { accounts, base64, identities, vectorJson } from '../../test/vectors.ts'
import { JamiError } from '../base/errors.ts'
import { parseChain } from './certificate.ts'
import { accountUriOf, certificateKey, deviceIdOf, inboxKey, infoHashOf, parseAccountUri, parseConversationId, parseDeviceId, parseInfoHash, parseMessageId, peerKey, shortIdOf } from './ids.ts'

const id = 'a58d4cc12440e040718e5775a922d9a0a2b7bfd5'
const device = '50126e89057a01939244345ddaa05494bcef6c567be123ab31d33ab8cbfb3844'

describe('account URIs', () => {
  it('ACC-2 accepts bare, jami:, ring: and SIP forms of either case', () => {
    for (const text of [id, id.toUpperCase(), `jami:${id}`, `ring:${id}`, `JAMI:${id}`, `jami://${id}`, `ring:${id}@ring.dht`, `sips:${id}@ring.dht`, `${id}@jami.dht`]) expect(parseAccountUri(text)).toBe(id)
  })

  it.each(['', 'jami:', 'bob', `jami:bob${id}`, `x${id.slice(1)}`, id.slice(1), `${id}0`, `http:${id}`, `jami:jami:${id}`, ` ${id}`, `${id}\n`, `${id}@evil.example`, `jami:${'0'.repeat(200)}`])(
    'ACC-2 refuses %j with ERR_ADDRESS_INVALID',
    (text) => {
      expect(() => parseAccountUri(text)).toThrow(expect.objectContaining({ code: 'ERR_ADDRESS_INVALID' }))
    },
  )

  it('any text is an account or refused', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(parseAccountUri(text)).toMatch(/^[0-9a-f]{40}$/)
        } catch (error) {
          expect(JamiError.is(error, 'ERR_ADDRESS_INVALID')).toBe(true)
        }
      }),
      { numRuns: 10_000 },
    )
  })
})

describe('other ids', () => {
  it('are hex of their length, brought to lower case', () => {
    expect(parseDeviceId(device.toUpperCase())).toBe(device)
    for (const parse of [parseInfoHash, parseConversationId, parseMessageId]) expect(parse(id.toUpperCase())).toBe(id)
  })

  it.each(['', id.slice(1), `${id}00`, `g${id.slice(1)}`, `0x${id.slice(2)}`])('refuse %j', (text) => {
    for (const parse of [parseInfoHash, parseConversationId, parseMessageId, parseDeviceId]) expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'ERR_CODEC' }))
  })

  it('refuse the wrong length, as OpenDHT does not', () => {
    expect(() => parseDeviceId(id)).toThrow(expect.objectContaining({ code: 'ERR_CODEC' }))
    expect(() => parseInfoHash(device)).toThrow(expect.objectContaining({ code: 'ERR_CODEC' }))
  })
})

describe('derived ids', () => {
  it('ACC-1 DHT-50 are SHA-1 and SHA-256 of the whole SPKI, as OpenDHT computes them', () => {
    for (const { publicKeyDer, id, longId } of Object.values(identities()).filter((entry) => typeof entry === 'object' && 'publicKeyDer' in entry)) {
      const spki = base64(publicKeyDer)
      expect([accountUriOf(spki), shortIdOf(spki), deviceIdOf(spki)]).toEqual([id, id, longId])
    }
  })

  it('ACC-1 agree with what daemons of 2023 and 2026 wrote into their receipts', () => {
    for (const account of Object.values(accounts())) {
      const [own, issuer] = parseChain(account.chainPem)
      const { id, dev } = JSON.parse(account.receipt) as { id: string; dev: string }
      expect([issuer?.shortId, own.shortId]).toEqual([id, dev])
    }
  })

  it('infoHashOf agrees with OpenDHT for text and bytes', () => {
    const { get, getBytes } = vectorJson<{ get: { infoHash: string; input: string }[]; getBytes: { infoHash: string; input: string }[] }>('opendht-infohash.json')
    for (const { infoHash, input } of get) expect(infoHashOf(input)).toBe(infoHash)
    for (const { infoHash, input } of getBytes) expect(infoHashOf(base64(input))).toBe(infoHash)
  })

  it('gives the DHT keys of the worked values', () => {
    expect(inboxKey(parseInfoHash('b395db604d048a1c0fffc8f8bb159572f2542290'))).toBe('d49514ac95faa84a7e911d74bd54b3b340194e94')
    expect(certificateKey(parseDeviceId(device))).toBe('37176864c2306f8b458ab8af620a7864880f1f89')
    expect(peerKey(parseDeviceId(device))).toBe(infoHashOf(`peer:${device}`))
  })
})
