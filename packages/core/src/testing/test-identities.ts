// Ready-made accounts and devices with stored throw-away keys: tests never wait for RSA key generation, and ids are the same in
// every run. Proof: testing/test-identities.test.ts.
import { limitError } from '../base/errors.ts'
import { fromHex } from '../codec/bytes.ts'
import type { CertificateChain, DeviceIdentity, PeerIdentity } from '../contracts/identity.ts'
import { privateKeyFromPem } from '../crypto/keys.ts'
import { parseCertificate } from '../identity/certificate.ts'
import { accountUriOf, deviceIdOf, shortIdOf } from '../identity/ids.ts'
import type { AccountIdentity } from '../identity/issue.ts'
import { verifyPeerChain } from '../identity/verify-chain.ts'
import { ACCOUNTS } from './identity-pool.ts'
import { pemOfCertificate, pemOfKey } from './pool-pem.ts'

/** How many accounts the pool has. */
export const TEST_IDENTITIES = ACCOUNTS.length

const made = new Map<string, AccountIdentity>() // bounded by the pool

/**
 * The i-th account of the pool, with its first device or another one: accounts 0 to 3 have three devices each, the others one.
 * The same object each time. @throws ERR_LIMIT past the end of the pool
 */
export function testIdentity(i: number, device = 0): AccountIdentity {
  const key = `${i}/${device}`
  const known = made.get(key)
  if (known) return known
  const stored = ACCOUNTS[i]
  if (!stored) throw limitError('accounts of the throw-away pool', i + 1, ACCOUNTS.length)
  const storedDevice = stored.devices[device]
  if (!storedDevice) throw limitError(`devices of account ${i} of the throw-away pool`, device + 1, stored.devices.length)
  const accountChain: CertificateChain = [parseCertificate(pemOfCertificate(stored.accountCertificate)), parseCertificate(pemOfCertificate(stored.caCertificate))]
  const privateKey = privateKeyFromPem(pemOfKey(storedDevice.key))
  const identity: AccountIdentity = {
    accountKey: privateKeyFromPem(pemOfKey(stored.accountKey)),
    accountChain,
    caKey: privateKeyFromPem(pemOfKey(stored.caKey)),
    ethKey: fromHex(stored.ethKey),
    device: {
      accountId: accountUriOf(accountChain[0].publicKey),
      deviceId: deviceIdOf(privateKey.publicKey),
      deviceShortId: shortIdOf(privateKey.publicKey),
      privateKey,
      chain: [parseCertificate(pemOfCertificate(storedDevice.certificate)), ...accountChain],
    },
  }
  made.set(key, identity)
  return identity
}

/** The same device as others see it. */
export function testPeer(identity: AccountIdentity | DeviceIdentity): PeerIdentity {
  const { chain } = 'device' in identity ? identity.device : identity
  return verifyPeerChain(chain, { nowMs: chain[0].notBeforeMs + 1 })
}
