// The captured vectors of this folder, read and typed for the tests (README.md tells where they come from).
import { readFileSync } from 'node:fs'

export function vectorBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`./vectors/${name}`, import.meta.url)))
}

export function vectorJson<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`./vectors/${name}`, import.meta.url), 'utf8')) as T
}

export interface CapturedAccount {
  readonly chainPem: string
  readonly deviceKeyPem: string
  readonly receipt: string
  /** base64 */
  readonly signature: string
  /** base64; of 2023 only */
  readonly archiveGz?: string
}

export const accounts = () => vectorJson<Record<'alice16' | 'bob16' | 'alice2023' | 'bob2023', CapturedAccount>>('accounts.json')

/** One identity of opendht-identities.json. */
export interface CapturedIdentity {
  readonly chainPem: string
  readonly keyPem: string
  readonly pem: string
  readonly id: string
  readonly longId: string
  readonly name: string
  readonly uid: string
  readonly isCA: boolean
  /** Unix seconds. */
  readonly activation: number
  readonly expiration: number
  readonly serialHex: string
  readonly issuerUID: string
  /** base64 */
  readonly publicKeyDer: string
}

export type IdentityName = 'ca' | 'account' | 'device' | 'device2' | 'ec' | 'ecCa' | 'selfSignedRsa2048'
export const identities = () => vectorJson<Record<IdentityName, CapturedIdentity>>('opendht-identities.json')

export const base64 = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
