// Where connection requests and answers are put and looked for, and how they leave. docs/protocol/02 §1.1, §1.2.
// Proof: manager/rendezvous.test.ts.
import type { ConnectionsModule, InfoHash, PeerIdentity } from '@jamikit/core/contracts'
import { infoHashOf, peerKey, shortIdOf } from '@jamikit/core/identity'
import { encodePeerRequest, type PeerRequest, USER_TYPE } from '../wire/peer-request.ts'

/** What the manager of an account is given. */
export type ManagerEnv = Parameters<ConnectionsModule>[0]

/** The key of devices that know only short ids. */
export function shortPeerKey(shortId: InfoHash): InfoHash {
  return infoHashOf(`peer:${shortId}`)
}

/** Signed by our device, for nobody else to read. @param short an answer goes back on the form of key by which the request came */
export async function putRequest(env: ManagerEnv, peer: PeerIdentity, request: PeerRequest, short: boolean, signal: AbortSignal): Promise<void> {
  const { dht, identity } = env
  await dht.put(short ? shortPeerKey(shortIdOf(peer.chain[0].publicKey)) : peerKey(peer.deviceId), {
    data: encodePeerRequest(request), userType: USER_TYPE, sign: identity.privateKey, encryptTo: peer.chain[0].publicKey,
    ...(request.connType === '' ? {} : { pushType: request.connType }),
  }, { signal })
}
