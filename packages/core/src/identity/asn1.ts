// What we write in ASN.1: names, times, extensions, and the signed structures around them, with pkijs and asn1js, which load at first
// use. Signatures go through the Crypto contract, so tests stay in virtual time. Foreign names are never encoded anew.
// docs/protocol/03 §2.2, §2.8; RFC 5280 §4.1, §5.1. Proof: identity/issue.test.ts, identity/revocation.test.ts.
import type { AlgorithmIdentifier, Extension, RelativeDistinguishedNames, Time } from 'pkijs'
import type { Clock } from '../contracts/clock.ts'
import { sha1 } from '../crypto/hash.ts'

const OID = {
  commonName: '2.5.4.3', userId: '0.9.2342.19200300.100.1.1', sha512WithRsa: '1.2.840.113549.1.1.13',
  subjectKeyId: '2.5.29.14', keyUsage: '2.5.29.15', basicConstraints: '2.5.29.19', crlNumber: '2.5.29.20',
} as const
const FIRST_GENERALIZED_MS = Date.UTC(2050, 0)

export type Asn1 = typeof import('pkijs') & typeof import('asn1js')

async function load(): Promise<Asn1> {
  const [pkijs, asn1js] = await Promise.all([import('pkijs'), import('asn1js')])
  return { ...pkijs, ...asn1js }
}

let loaded: Promise<Asn1> | undefined

/** The libraries; the clock waits for them. */
export function asn1(clock: Clock): Promise<Asn1> {
  loaded ??= load()
  return clock.track(loaded)
}

/** Two RDNs, CN and UID, both PrintableString; pkijs itself would put both into one. */
export function nameBytes(a: Asn1, cn: string, uid: string): Uint8Array {
  const rdn = (oid: string, value: string) => new a.Set({ value: [new a.Sequence({ value: [new a.ObjectIdentifier({ value: oid }), new a.PrintableString({ value })] })] })
  return bytesOf(new a.Sequence({ value: [rdn(OID.commonName, cn), rdn(OID.userId, uid)] }))
}

/** A name whose bytes stay what they are. */
export function nameOf(a: Asn1, bytes: Uint8Array): RelativeDistinguishedNames {
  return a.RelativeDistinguishedNames.fromBER(bufferOf(bytes))
}

/** Seconds; UTCTime until 2049, GeneralizedTime after. */
export function timeOf(a: Asn1, unixMs: number): Time {
  return new a.Time({ type: unixMs < FIRST_GENERALIZED_MS ? 0 : 1, value: new Date(Math.floor(unixMs / 1000) * 1000) })
}

export function sha512WithRsa(a: Asn1): AlgorithmIdentifier {
  return new a.AlgorithmIdentifier({ algorithmId: OID.sha512WithRsa, algorithmParams: new a.Null() })
}

/** Of an account or CA: key id (SHA-1 of the whole key structure), CA flag, keyCertSign and cRLSign. */
export function caExtensions(a: Asn1, publicKey: Uint8Array): Extension[] {
  const extension = (extnID: string, critical: boolean, value: { toBER(): ArrayBuffer }) => new a.Extension({ extnID, critical, extnValue: value.toBER() })
  return [
    extension(OID.subjectKeyId, false, new a.OctetString({ valueHex: bufferOf(sha1(publicKey)) })),
    extension(OID.basicConstraints, true, new a.BasicConstraints({ cA: true }).toSchema()),
    extension(OID.keyUsage, true, new a.BitString({ valueHex: Uint8Array.of(0x06).buffer, unusedBits: 1 })),
  ]
}

/** @param number content bytes of the INTEGER */
export function crlNumber(a: Asn1, number: Uint8Array): Extension {
  return new a.Extension({ extnID: OID.crlNumber, critical: false, extnValue: new a.Integer({ valueHex: bufferOf(number) }).toBER() })
}

export function bytesOf(schema: { toBER(): ArrayBuffer }): Uint8Array {
  return new Uint8Array(schema.toBER())
}

/** Exactly these bytes, in a buffer of their own. */
export function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}
