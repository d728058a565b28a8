// Made packages/core/src/testing/identity-pool.ts, once: throw-away RSA-2048 account chains for tests, valid from 2020 to 2049.
// Run again only to change the pool: `npx tsx scripts/make-test-identities.ts > packages/core/src/testing/identity-pool.ts`.
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { rsaSignSync, privateKeyFromPem } from '../packages/core/src/crypto/index.ts'
import { der, derBits, derName, derOid, derSequence, derTime, derUnsigned, SHA512_WITH_RSA } from '../packages/core/test/der-writer.ts'
import { TAG } from '../packages/core/src/identity/der.ts'
import { createEthKey } from '../packages/core/src/identity/index.ts'
import { positiveNumber } from '../packages/core/src/identity/issue.ts'
import type { PrivateKey, Random } from '../packages/core/src/contracts/index.ts'

const ACCOUNTS = 20
const ACCOUNTS_WITH_THREE_DEVICES = 4
const SPARE_KEYS = 48
const FROM = Date.UTC(2020, 0, 1)
const UNTIL = Date.UTC(2049, 11, 31)

const random: Random = { bytes: (n) => new Uint8Array(randomBytes(n)), below: () => 0, u64: () => 0n }
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const sha1 = (bytes: Uint8Array) => new Uint8Array(createHash('sha1').update(bytes).digest())
const newKey = () => privateKeyFromPem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'pem', type: 'pkcs8' }) as string)
const stored = (key: PrivateKey) => key.pem.replace(/-----[A-Z ]+-----|\s/g, '')
const nameOf = (cn: string, key: PrivateKey) => derName(cn, Buffer.from(sha1(key.publicKey)).toString('hex'))

function caExtensions(publicKey: Uint8Array): Uint8Array {
  const critical = der(TAG.boolean, Uint8Array.of(0xff))
  const value = (content: Uint8Array) => der(TAG.octetString, content)
  return derSequence(
    derSequence(derOid('2.5.29.14'), value(der(TAG.octetString, sha1(publicKey)))),
    derSequence(derOid('2.5.29.19'), critical, value(derSequence(critical))),
    derSequence(derOid('2.5.29.15'), critical, value(derBits(Uint8Array.of(0x06), 1))),
  )
}

function certificate(subject: Uint8Array, key: PrivateKey, issuer: Uint8Array, signer: PrivateKey, isCa: boolean): string {
  const tbs = derSequence(
    der(0xa0, derUnsigned(Uint8Array.of(2))), derUnsigned(positiveNumber(random)), SHA512_WITH_RSA, issuer,
    derSequence(derTime(FROM), derTime(UNTIL)), subject, key.publicKey, ...(isCa ? [der(0xa3, caExtensions(key.publicKey))] : []),
  )
  return base64(derSequence(tbs, SHA512_WITH_RSA, derBits(rsaSignSync(signer, tbs))))
}

const accounts = Array.from({ length: ACCOUNTS }, (_, i) => {
  const [ca, account] = [newKey(), newKey()]
  const [caName, accountName] = [nameOf('Jami CA', ca), nameOf('Jami', account)]
  const devices = Array.from({ length: i < ACCOUNTS_WITH_THREE_DEVICES ? 3 : 1 }, () => {
    const key = newKey()
    return { key: stored(key), certificate: certificate(nameOf('Jami device', key), key, accountName, account, false) }
  })
  return {
    caKey: stored(ca), caCertificate: certificate(caName, ca, caName, ca, true),
    accountKey: stored(account), accountCertificate: certificate(accountName, account, caName, ca, true),
    ethKey: Buffer.from(createEthKey(random)).toString('hex'),
    devices,
  }
})
const spare = Array.from({ length: SPARE_KEYS }, () => stored(newKey()))

// JSON with the quotes and property names of the house style.
const text = (value: unknown) => JSON.stringify(value, null, 2).replace(/"(\w+)":/g, '$1:').replace(/"/g, "'").replace(/([^[{,])\n(\s*[\]}])/g, '$1,\n$2')
process.stdout.write(`// THROW-AWAY TEST KEYS: published with the source, known to everybody, protecting nothing. Never use them outside tests.
// Made once by scripts/make-test-identities.ts: RSA-2048, certificates valid from 2020 to 2049, base64 of DER (PKCS#8, X.509).
// Proof: testing/test-identities.test.ts.

export interface StoredAccount {
  readonly caKey: string
  readonly caCertificate: string
  readonly accountKey: string
  readonly accountCertificate: string
  readonly ethKey: string
  readonly devices: readonly { readonly key: string; readonly certificate: string }[]
}

export const ACCOUNTS: readonly StoredAccount[] = ${text(accounts)}

/** Keys without certificates, for accounts that tests create themselves. */
export const SPARE_KEYS: readonly string[] = ${text(spare)}
`)
