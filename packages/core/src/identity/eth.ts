// The Ethereum-style address that receipts and name registrations carry. docs/protocol/03 §1.1, §2.7. Pure: the curve is
// noble's, since runtimes on BoringSSL (Electron among them) have no secp256k1.
// Proof: identity/issue.test.ts.
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { JamiError } from '../base/errors.ts'
import { toHex } from '../codec/bytes.ts'
import { keccak256 } from '../crypto/hash.ts'

/** 40 hex digits without 0x: the last 20 bytes of Keccak-256 of the public point. @throws ERR_ARGUMENT for a key that is none */
export function ethAddressOf(ethKey: Uint8Array): string {
  if (ethKey.length !== 32 || !secp256k1.utils.isValidSecretKey(ethKey)) throw new JamiError('ERR_ARGUMENT', 'eth key: got something else, allowed 32 bytes, a secp256k1 secret')
  return toHex(keccak256(secp256k1.getPublicKey(ethKey, false).subarray(1)).subarray(12))
}
