import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { forge, type ForgeOptions, NOW } from '../../test/forge.ts'
import { accounts, identities, vectorBytes } from '../../test/vectors.ts'
import type { Certificate, CertificateChain, PrivateKey } from '../contracts/identity.ts'
import { privateKeyFromPem } from '../crypto/keys.ts'
import { spareKey } from '../testing/test-crypto.ts'
import { parseCertificate, parseChain } from './certificate.ts'
import { parseRevocationList, verifyRevocationList } from './revocation.ts'
import { CLOCK_SKEW_MS, verifyIssued, verifyPeerChain } from './verify-chain.ts'

const captured = accounts()
const keys = [spareKey(0), spareKey(1), spareKey(2)] as const
const [caKey, accountKey, deviceKey] = keys

const CA: ForgeOptions = { subject: caKey, signer: caKey, cn: 'Jami CA', issuerCn: 'Jami CA', ca: true, keyUsage: 0x06 }
const ACCOUNT: ForgeOptions = { subject: accountKey, signer: caKey, cn: 'Jami', issuerCn: 'Jami CA', ca: true, keyUsage: 0x06 }
const DEVICE: ForgeOptions = { subject: deviceKey, signer: accountKey, cn: 'Jami device', issuerCn: 'Jami' }

function chain(device: Partial<ForgeOptions> = {}, account: Partial<ForgeOptions> = {}, ca: Partial<ForgeOptions> = {}): CertificateChain {
  return [parseCertificate(forge({ ...DEVICE, ...device })), parseCertificate(forge({ ...ACCOUNT, ...account })), parseCertificate(forge({ ...CA, ...ca }))]
}

const refused = expect.objectContaining({ code: 'ERR_CERTIFICATE' })
const verify = (c: CertificateChain, nowMs = NOW) => verifyPeerChain(c, { nowMs })

function keyPair(type: 'ec' | 'small'): PrivateKey {
  const pair = type === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-384' }) : generateKeyPairSync('rsa', { modulusLength: 1024 })
  return privateKeyFromPem(String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })))
}

/** The last byte of the signature changed. */
function tampered(certificate: Certificate): Certificate {
  const bytes = certificate.der.slice()
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
  return parseCertificate(bytes)
}

describe('verifyPeerChain', () => {
  it('ACC-5 accepts chains of daemons, whose device certificates have no extension', () => {
    for (const { chainPem, receipt } of Object.values(captured)) {
      const parsed = parseChain(chainPem)
      const identity = verifyPeerChain(parsed, { nowMs: parsed[0].notBeforeMs + 1000 })
      expect(identity.accountId).toBe((JSON.parse(receipt) as { id: string }).id)
      expect(identity.deviceId).toBe(parsed[0].longId)
      expect(identity.chain).toEqual(parsed)
      expect(Object.isFrozen(identity)).toBe(true)
    }
  })

  it('ACC-6 accepts signatures with SHA-256, 384 and 512', () => {
    for (const digest of ['sha256', 'sha384', 'sha512'] as const) expect(verify(chain({ digest }, { digest }, { digest })).accountId).toBe(chain()[1]?.shortId)
  })

  it('ACC-6 accepts an EC key above the account, and nowhere else', () => {
    const ec = keyPair('ec')
    expect(verify(chain({}, { signer: ec }, { subject: ec, signer: ec })).deviceId).toBe(chain()[0].longId)
    expect(() => verify(chain({ signer: ec }, { subject: ec }))).toThrow(refused)
    expect(() => verify(chain({ subject: ec }))).toThrow(refused)
  })

  it('accepts an account that is its own root', () => {
    const own = { signer: accountKey, issuerCn: 'Jami' }
    const [device, account] = chain({}, own)
    if (!account) throw new Error('unreachable')
    expect(verify([device, account]).accountId).toBe(account.shortId)
  })

  it.each<[string, CertificateChain]>([
    ['a device alone', [chain()[0]]],
    ['a device that signed itself', chain({ signer: deviceKey, issuerCn: 'Jami device', ca: true, cn: 'Jami device' }).slice(0, 1) as unknown as CertificateChain],
    ['a device with the key of its account', chain({ subject: accountKey })],
    ['a missing root', chain().slice(0, 2) as unknown as CertificateChain],
    ['a missing account', [chain()[0], chain()[2] as Certificate]],
    ['a link signed by a stranger', chain({ signer: spareKey(3), issuerUid: parseCertificate(forge(ACCOUNT)).shortId })],
    ['an account signed by a stranger', chain({}, { signer: spareKey(3), issuerUid: parseCertificate(forge(CA)).shortId })],
    ['a root signed by a stranger', chain({}, {}, { signer: spareKey(3), issuerUid: parseCertificate(forge(CA)).shortId })],
    ['a changed signature of the device', [tampered(chain()[0]), ...chain().slice(1)]],
    ['a changed signature of the account', [chain()[0], tampered(chain()[1] as Certificate), chain()[2] as Certificate]],
    ['a changed signature of the root', [chain()[0], chain()[1] as Certificate, tampered(chain()[2] as Certificate)]],
    ['an account that is no CA', chain({}, { ca: false })],
    ['an account without basic constraints', chain({}, { ca: undefined as never })],
    ['a root that is no CA', chain({}, {}, { ca: false })],
    ['an account whose key may not sign certificates', chain({}, { keyUsage: 0x80 })],
    ['another issuer name', chain({ issuerCn: 'Other' })],
    ['a device UID of another key', chain({ uid: '0'.repeat(40) })],
    ['an account UID of another key', chain({ issuerUid: '0'.repeat(40) }, { uid: '0'.repeat(40) })],
    ['SHA-1 signatures', chain({ digest: 'sha1' })],
    ['an RSA key of 1024 bits as device', chain({ subject: keyPair('small') })],
    ['nine certificates', [...chain(), ...Array.from({ length: 6 }, () => chain()[2] as Certificate)] as unknown as CertificateChain],
  ])('refuses %s', (_name, bad) => {
    expect(() => verify(bad)).toThrow(refused)
  })

  it('a CA with a path length has so many CAs below it and no more', () => {
    expect(() => verify(chain({}, {}, { pathLength: 0 }))).toThrow(refused) // the account is a CA
    for (const pathLength of [1, 2, 127]) expect(verify(chain({}, {}, { pathLength })).chain).toHaveLength(3)
    expect(verify(chain({}, { pathLength: 0 })).chain).toHaveLength(3) // a device is none
  })

  it('an RSA key of 1024 bits is too small at every level', () => {
    const small = keyPair('small')
    expect(() => verify(chain({ signer: small }, { subject: small }))).toThrow(refused)
    expect(() => verify(chain({}, { signer: small }, { subject: small, signer: small }))).toThrow(refused)
  })

  it('looks at the dates of every certificate, and takes one that begins within a day: clocks differ', () => {
    for (const level of [0, 1, 2]) {
      const at = (options: Partial<ForgeOptions>) => chain(...[0, 1, 2].map((n) => (n === level ? options : {})))
      expect(() => verify(at({ notAfterMs: NOW - 1000 }))).toThrow(refused)
      expect(verify(at({ notBeforeMs: NOW + CLOCK_SKEW_MS })).chain).toHaveLength(3)
      expect(() => verify(at({ notBeforeMs: NOW + CLOCK_SKEW_MS + 1000 }))).toThrow(refused)
      expect(verifyPeerChain(at({ notBeforeMs: NOW + 2 * CLOCK_SKEW_MS }), { nowMs: NOW, anyBeginning: true }).chain).toHaveLength(3)
      expect(() => verifyPeerChain(at({ notAfterMs: NOW - 1000 }), { nowMs: NOW, anyBeginning: true })).toThrow(refused)
      expect(verify(at({ notBeforeMs: NOW, notAfterMs: NOW })).chain).toHaveLength(3)
    }
  })

  it('asks about revocation below the top, with each issuer', () => {
    const asked: string[] = []
    const good = chain()
    verifyPeerChain(good, { nowMs: NOW, isRevoked: (certificate, issuer) => Boolean(asked.push(`${certificate.subjectCn} by ${issuer.subjectCn}`)) && false })
    expect(asked).toEqual(['Jami device by Jami', 'Jami by Jami CA'])
    expect(() => verifyPeerChain(good, { nowMs: NOW, isRevoked: (c) => c.subjectCn === 'Jami device' })).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_REVOKED' }))
  })

  it('a list that names its serial, of another issuer, is not one of its issuer', () => {
    const list = parseRevocationList(vectorBytes('account-crl.der'))
    const device = { ...DEVICE, serial: Uint8Array.from(Buffer.from(list.revoked[0]?.serialHex ?? '', 'hex')) }
    const parsed = chain(device)
    expect(list.revoked).toHaveLength(1)
    expect(parsed[0].serialHex).toBe(list.revoked[0]?.serialHex)
    expect(parsed[1] && verifyRevocationList(list, parsed[1])).toBe(false)
  })

  it('trusts the bytes only: a copied certificate with other fields changes nothing', () => {
    const [device, account, ca] = chain({}, { ca: false })
    if (!account || !ca) throw new Error('unreachable')
    expect(() => verify([device, { ...account, isCa: true }, ca])).toThrow(refused)
    const [good, goodAccount, goodCa] = chain()
    if (!goodAccount || !goodCa) throw new Error('unreachable')
    expect(verify([{ ...good, longId: '0'.repeat(64) }, { ...goodAccount, shortId: '0'.repeat(40) }, goodCa])).toMatchObject({ accountId: goodAccount.shortId, deviceId: good.longId })
  })
})

describe('verifyIssued', () => {
  it('agrees with OpenSSL about who issued whom', () => {
    const all = Object.values(captured).flatMap(({ chainPem }) => [...parseChain(chainPem)])
    for (const child of all) {
      for (const issuer of all) {
        const [a, b] = [new X509Certificate(child.pem), new X509Certificate(issuer.pem)]
        expect(verifyIssued(child, issuer)).toBe(a.checkIssued(b) && a.verify(b.publicKey))
      }
    }
  })

  it('knows the chains of OpenDHT', () => {
    const all = identities()
    const of = (name: 'ca' | 'account' | 'device' | 'ec' | 'ecCa') => parseCertificate(all[name].pem)
    expect([verifyIssued(of('device'), of('account')), verifyIssued(of('account'), of('ca')), verifyIssued(of('ec'), of('ecCa'))]).toEqual([true, true, true])
    expect([verifyIssued(of('device'), of('ca')), verifyIssued(of('ca'), of('account'))]).toEqual([false, false])
  })
})
