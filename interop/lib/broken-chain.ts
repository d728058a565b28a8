// A liar for the scenario `stranger`: a node whose DHT side is honest, but which shows in TLS a device certificate that names
// its account as issuer and was signed by another key. Nobody may accept the link.
import type { Certificate, CertificateChain, ConnectionsModule } from '@jamikit/core/contracts'
import { nodeCrypto } from '@jamikit/core/crypto'
import { issueDeviceCertificate } from '@jamikit/core/identity'
import { nodeRandom, systemClock } from '../../packages/core/src/io/index.ts'

async function forge(chain: CertificateChain): Promise<CertificateChain> {
  const [device, account, ...issuers] = chain
  if (account === undefined) throw new Error('chain without an account')
  const crypto = nodeCrypto()
  const other = await crypto.generateKey(2048)
  // the names of the real account, the key of nobody
  const named: Certificate = { ...account, publicKey: other.publicKey }
  const forged = await issueDeviceCertificate({ crypto, clock: systemClock(), random: nodeRandom() }, { accountKey: other, account: named, devicePublicKey: device.publicKey })
  return [forged, account, ...issuers]
}

/** `working` gets the promise of the forgery: links made before it settles would be honest. */
export function withBrokenChain(connections: ConnectionsModule, working: (forgery: Promise<void>) => void): ConnectionsModule {
  return (env) => {
    let shown = env.identity.chain
    working(
      forge(shown).then((forged) => {
        shown = forged
      }),
    )
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
