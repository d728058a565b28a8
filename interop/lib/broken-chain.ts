// A liar for the scenario `stranger`: a node whose DHT side is honest, but which shows in TLS a device certificate that names
// its account as issuer and was signed by another key. Nobody may accept the link.
import { generateKeyPairSync } from 'node:crypto'
import type { Certificate, CertificateChain, ConnectionsModule } from '@jamikit/core/contracts'
import { nodeCrypto, privateKeyFromPem, rsaSignSync } from '@jamikit/core/crypto'
import { issueDeviceCertificate } from '@jamikit/core/identity'
import { nodeRandom, systemClock } from '../../packages/core/src/io/index.ts'

/** Takes no turn of the event loop: no link can be made with the honest chain before. */
export async function forgeChain(chain: CertificateChain): Promise<CertificateChain> {
  const [device, account, ...issuers] = chain
  if (account === undefined) throw new Error('chain without an account')
  const other = privateKeyFromPem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'pem', type: 'pkcs8' }).toString())
  // the names of the real account, the key of nobody
  const named: Certificate = { ...account, publicKey: other.publicKey }
  const crypto = { ...nodeCrypto(), sign: async (key: typeof other, bytes: Uint8Array) => rsaSignSync(key, bytes) }
  const forged = await issueDeviceCertificate({ crypto, clock: systemClock(), random: nodeRandom() }, { accountKey: other, account: named, devicePublicKey: device.publicKey })
  return [forged, account, ...issuers]
}

export function withBrokenChain(connections: ConnectionsModule): ConnectionsModule {
  return (env) => {
    let shown = env.identity.chain
    void forgeChain(shown).then((forged) => {
      shown = forged
    })
    return connections({
      ...env,
      identity: {
        ...env.identity,
        get chain() {
          return shown
        },
      },
    })
  }
}
