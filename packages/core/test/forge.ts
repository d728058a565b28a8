// Certificates with any property, for tests of what must be refused. Signed with whatever key is given.
import { createPrivateKey, sign } from 'node:crypto'
import type { PrivateKey } from '../src/contracts/identity.ts'
import { sha1 } from '../src/crypto/hash.ts'
import { TAG } from '../src/identity/der.ts'
import { toHex } from '../src/codec/bytes.ts'
import { der, derBits, derName, derOid, derSequence, derTime, derUnsigned } from './der-writer.ts'

export interface ForgeOptions {
  readonly subject: PrivateKey
  readonly signer: PrivateKey
  readonly cn?: string
  readonly uid?: string
  readonly issuerCn?: string
  readonly issuerUid?: string
  /** Unix milliseconds. */
  readonly notBeforeMs?: number
  readonly notAfterMs?: number
  /** Content bytes of the serial. */
  readonly serial?: Uint8Array
  readonly ca?: boolean
  /** How many CAs may follow below. */
  readonly pathLength?: number
  /** Bits of the key usage; left out = no such extension. */
  readonly keyUsage?: number
  readonly digest?: 'sha1' | 'sha256' | 'sha384' | 'sha512'
  readonly extraExtension?: { oid: string; critical: boolean }
  readonly twice?: boolean
}

const RSA_WITH = { sha1: '1.2.840.113549.1.1.5', sha256: '1.2.840.113549.1.1.11', sha384: '1.2.840.113549.1.1.12', sha512: '1.2.840.113549.1.1.13' }
const ECDSA_WITH = { sha1: '1.2.840.10045.4.1', sha256: '1.2.840.10045.4.3.2', sha384: '1.2.840.10045.4.3.3', sha512: '1.2.840.10045.4.3.4' }
export const NOW = Date.UTC(2026, 10, 24)

const critical = der(TAG.boolean, Uint8Array.of(0xff))
const extension = (oid: string, isCritical: boolean, value: Uint8Array) => derSequence(derOid(oid), ...(isCritical ? [critical] : []), der(TAG.octetString, value))

export function forge(o: ForgeOptions): Uint8Array {
  const digest = o.digest ?? 'sha512'
  const isRsa = createPrivateKey(o.signer.pem).asymmetricKeyType === 'rsa'
  const algorithm = isRsa ? derSequence(derOid(RSA_WITH[digest]), der(TAG.null)) : derSequence(derOid(ECDSA_WITH[digest]))
  const id = (key: PrivateKey) => toHex(sha1(key.publicKey))
  const constraints = extension('2.5.29.19', true, derSequence(...(o.ca ? [critical] : []), ...(o.pathLength === undefined ? [] : [derUnsigned(Uint8Array.of(o.pathLength))])))
  const extensions = [
    ...(o.ca === undefined ? [] : [constraints]),
    ...(o.twice ? [constraints] : []),
    ...(o.keyUsage === undefined ? [] : [extension('2.5.29.15', true, derBits(Uint8Array.of(o.keyUsage)))]),
    ...(o.extraExtension ? [extension(o.extraExtension.oid, o.extraExtension.critical, der(TAG.null))] : []),
  ]
  const tbs = derSequence(
    der(0xa0, derUnsigned(Uint8Array.of(2))),
    der(TAG.integer, o.serial ?? Uint8Array.of(1, 2, 3)),
    algorithm,
    derName(o.issuerCn ?? 'Issuer', o.issuerUid ?? id(o.signer)),
    derSequence(derTime(o.notBeforeMs ?? NOW - 86_400_000), derTime(o.notAfterMs ?? NOW + 86_400_000)),
    derName(o.cn ?? 'Subject', o.uid ?? id(o.subject)),
    o.subject.publicKey,
    ...(extensions.length > 0 ? [der(0xa3, derSequence(...extensions))] : []),
  )
  return derSequence(tbs, algorithm, derBits(sign(digest, tbs, o.signer.pem)))
}
