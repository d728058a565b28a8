// TLS over a framed connection, in both roles, with our own verification of the peer before a byte is used.
// docs/protocol/02 §3 (recipe §3.8, traps 6 to 8). Proof: link/tls-link.test.ts, interop stranger.
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { JamiError, withOp } from '@jamikit/core/base'
import type { BaseEnv, CertificateChain, DeviceIdentity, PeerIdentity } from '@jamikit/core/contracts'
import { chainToPem, parseChain } from '@jamikit/core/identity'
import { TLS_TIMEOUT_MS } from '../defaults.ts'
import type { FramedConnection } from './framed-connection.ts'

const CURVES = 'P-384:X25519:P-521'
const MAX_CHAIN = 8

/** Made once per account; building one costs a millisecond. */
export function tlsContext(identity: DeviceIdentity): SecureContext {
  // minVersion 1.2: a 1.3-only hello of newer OpenSSL lacks the renegotiation signal that peers insist on; 1.3 is demanded below
  return createSecureContext({ key: identity.privateKey.pem, cert: chainToPem(identity.chain), minVersion: 'TLSv1.2', ecdhCurve: CURVES })
}

function chainOf(socket: TLSSocket): CertificateChain {
  let certificate = socket.getPeerX509Certificate()
  if (!certificate) throw new JamiError('ERR_CERTIFICATE', 'TLS: the peer sent no certificate')
  const pems: string[] = []
  while (certificate && pems.length <= MAX_CHAIN) {
    pems.push(certificate.toString())
    const issuer: typeof certificate | undefined = certificate.issuerCertificate
    certificate = issuer && issuer.fingerprint256 !== certificate.fingerprint256 ? issuer : undefined
  }
  return parseChain(pems.join(''))
}

/**
 * Runs the handshake; the result is paused: nothing has been read from it.
 * @param verify decides on the chain that the peer showed. @throws ERR_CERTIFICATE, ERR_DEVICE_REVOKED, ERR_PEER_REFUSED, ERR_LINK_LOST, ERR_TIMEOUT
 */
export function secureLink(
  env: Pick<BaseEnv, 'clock'>,
  connection: FramedConnection,
  options: { client: boolean; context: SecureContext; verify: (chain: CertificateChain) => Promise<PeerIdentity>; signal: AbortSignal },
): Promise<{ socket: TLSSocket; peer: PeerIdentity }> {
  return withOp(env.clock, { signal: options.signal, timeoutMs: TLS_TIMEOUT_MS }, 'TLS handshake', async (signal) => {
    const { context: secureContext, client } = options
    const socket = client
      ? connect({ socket: connection, secureContext, rejectUnauthorized: false, checkServerIdentity: () => undefined, ecdhCurve: CURVES, minVersion: 'TLSv1.2' })
      : new TLSSocket(connection, { isServer: true, secureContext, requestCert: true, rejectUnauthorized: false })
    socket.pause()
    let failure: Error | undefined
    socket.on('error', (error) => {
      failure ??= error
    })
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once(client ? 'secureConnect' : 'secure', () => resolve())
        socket.once('close', () => reject(new JamiError('ERR_LINK_LOST', 'the connection ended during the TLS handshake', { cause: failure })))
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
      if (socket.getProtocol() !== 'TLSv1.3') throw new JamiError('ERR_CERTIFICATE', `TLS: got ${String(socket.getProtocol())}, allowed TLSv1.3`)
      const peer = await options.verify(chainOf(socket))
      if (signal.aborted) throw signal.reason
      return { socket, peer }
    } catch (error) {
      socket.destroy()
      connection.destroy()
      throw error
    }
  })
}
