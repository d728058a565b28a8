// The Ethereum-style address that receipts and name registrations carry. docs/protocol/03 §1.1, §2.7. Pure.
// Proof: identity/issue.test.ts.
import { createECDH } from 'node:crypto'
import { JamiError } from '../base/errors.ts'
import { toHex } from '../codec/bytes.ts'
import { keccak256 } from '../crypto/hash.ts'

/** 40 hex digits without 0x: the last 20 bytes of Keccak-256 of the public point. @throws ERR_ARGUMENT for a key that is none */
export function ethAddressOf(ethKey: Uint8Array): string {
  const curve = createECDH('secp256k1')
  try {
    if (ethKey.length !== 32) throw new Error('length')
    curve.setPrivateKey(ethKey)
  } catch {
    throw new JamiError('ERR_ARGUMENT', 'eth key: got something else, allowed 32 bytes, a secp256k1 secret')
  }
  return toHex(keccak256(curve.getPublicKey(null, 'uncompressed').subarray(1)).subarray(12))
}
