// The receipt: the account key's word that a device belongs to it. Kept locally, checked at every load.
// docs/protocol/03 §2.6.1. Proof: identity/receipt.test.ts (captured receipts, each of the five checks).
import { codecError, JamiError } from '../base/errors.ts'
import { equalBytes, fromBase64, toBase64, utf8 } from '../codec/bytes.ts'
import type { Crypto } from '../contracts/crypto.ts'
import type { Certificate, DeviceIdentity, PrivateKey } from '../contracts/identity.ts'
import { makeAnnouncement, sameDevice, verifyAnnouncement } from './announcement.ts'
import { ethAddressOf } from './eth.ts'
import { accountUriOf, shortIdOf } from './ids.ts'
import { verifyPeerChain } from './verify-chain.ts'

/** Signature: RSA-SHA512 by the account key over the UTF-8 bytes of `text`. */
export interface Receipt {
  /** JSON, as signed. */
  readonly text: string
  /** Of the account key over the text. */
  readonly signature: Uint8Array
}

const MAX_TEXT = 16_384

/** Signs a receipt for a device. @param options `ethKey` left out, the address is 40 zeros, as for accounts without one */
export async function makeReceipt(
  crypto: Crypto,
  options: { accountKey: PrivateKey; devicePublicKey: Uint8Array; ethKey?: Uint8Array },
): Promise<Receipt & { announcement: Uint8Array }> {
  const announcement = await makeAnnouncement(crypto, options)
  const eth = options.ethKey ? ethAddressOf(options.ethKey) : '0'.repeat(40)
  const id = accountUriOf(options.accountKey.publicKey)
  const text = `{"id":"${id}","dev":"${shortIdOf(options.devicePublicKey)}","eth":"${eth}","announce":"${toBase64(announcement)}"}`
  return { text, signature: await crypto.sign(options.accountKey, utf8(text)), announcement }
}

/**
 * All five checks of the specification; gives the packed announcement to publish.
 * @throws ERR_CERTIFICATE, ERR_DEVICE_REVOKED, ERR_SIGNATURE, ERR_CODEC
 */
export async function verifyReceipt(
  crypto: Crypto,
  receipt: Receipt,
  device: DeviceIdentity,
  options: { nowMs: number; isRevoked?: (certificate: Certificate, issuer: Certificate) => boolean },
): Promise<{ announcement: Uint8Array; eth: string }> {
  const [own, account] = device.chain
  if (receipt.text === '' || receipt.signature.length === 0) throw codecError('receipt', 'nothing', 'a text and a signature')
  if (!equalBytes(own.publicKey, device.privateKey.publicKey)) throw new JamiError('ERR_CERTIFICATE', 'device key: got another key than the certificate has, allowed its key')
  const identity = verifyPeerChain(device.chain, { ...options, anyBeginning: true })
  if (!account || !(await crypto.verify(account.publicKey, utf8(receipt.text), receipt.signature)))
    throw new JamiError('ERR_SIGNATURE', 'the receipt is not signed by the account')
  const fields = parse(receipt.text)
  if (fields.id !== identity.accountId) throw codecError('receipt id', fields.id, identity.accountId)
  if (fields.dev !== own.shortId) throw codecError('receipt dev', fields.dev, own.shortId)
  const announcement = fromBase64(fields.announce)
  const said = await verifyAnnouncement(crypto, announcement)
  if (said.accountId !== identity.accountId) throw codecError('announcement owner', said.accountId, identity.accountId)
  if (!sameDevice(said, own.publicKey)) throw codecError('announcement pk', said.device?.deviceId ?? 'nothing', identity.deviceId)
  return { announcement, eth: fields.eth }
}

function parse(text: string): { id: string; dev: string; eth: string; announce: string } {
  if (text.length > MAX_TEXT) throw codecError('receipt', `${text.length} characters`, `at most ${MAX_TEXT}`)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw codecError('receipt', 'no JSON', 'a JSON object')
  }
  const of = (name: string): string => {
    const value: unknown = typeof json === 'object' && json !== null && Object.hasOwn(json, name) ? (json as Record<string, unknown>)[name] : undefined
    if (typeof value !== 'string') throw codecError(`receipt ${name}`, typeof value, 'a string')
    return value
  }
  return { id: of('id'), dev: of('dev'), eth: of('eth'), announce: of('announce') }
}
