// A peer that speaks every layer itself, so that a test can misbehave in any of them. It asks: ICE controlled, TLS server.
import { TLSSocket } from 'node:tls'
import type { DeviceIdentity, Dht, InfoHash } from '@jamikit/core/contracts'
import { infoHashOf, peerKey } from '@jamikit/core/identity'
import type { FramedConnection } from '../src/link/framed-connection.ts'
import { IceSession } from '../src/link/ice-session.ts'
import { parseIceDescription, printIceDescription } from '../src/wire/ice-text.ts'
import { decodePeerRequest, encodePeerRequest, type PeerRequest, USER_TYPE } from '../src/wire/peer-request.ts'
import type { Lab } from './harness.ts'

export class RawPeer {
  readonly identity: DeviceIdentity
  readonly dht: Dht
  readonly session: IceSession
  /** What came on our two keys, decoded, with the key. */
  readonly got: { key: 'long' | 'short'; request: PeerRequest }[] = []
  readonly #stop = new AbortController()
  #wake: () => void = () => {}

  constructor(lab: Lab, identity: DeviceIdentity, dht: Dht, host = 'raw') {
    this.identity = identity
    this.dht = dht
    this.session = new IceSession(lab.env(host), false)
    void this.#listen('long', peerKey(identity.deviceId))
    void this.#listen('short', infoHashOf(`peer:${identity.deviceShortId}`))
  }

  async #listen(name: 'long' | 'short', key: InfoHash): Promise<void> {
    for await (const { value, expired } of this.dht.listen(key, { decryptWith: this.identity.privateKey, signal: this.#stop.signal })) {
      if (expired || value.userType !== USER_TYPE) continue
      this.got.push({ key: name, request: decodePeerRequest(value.data) })
      this.#wake()
    }
  }

  /** Puts bytes where a device looks for requests. */
  async put(key: InfoHash, to: DeviceIdentity, data: Uint8Array): Promise<void> {
    await this.dht.put(key, { data, userType: USER_TYPE, sign: this.identity.privateKey, encryptTo: to.privateKey.publicKey })
  }

  async request(to: DeviceIdentity, request: Partial<PeerRequest> = {}, key: InfoHash = peerKey(to.deviceId)): Promise<void> {
    const iceMessage = request.iceMessage ?? 'none\nnone-none-none-none\nF 1 TCP 1 10.0.0.250 9 typ host tcptype active\n'
    await this.put(key, to, encodePeerRequest({ id: 1, isAnswer: false, connType: '', ...request, iceMessage }))
  }

  answers(): { key: 'long' | 'short'; request: PeerRequest }[] {
    return this.got.filter(({ request }) => request.isAnswer)
  }

  /** Rendezvous and ICE; the connection is bare. */
  async connect(to: DeviceIdentity, id = 77): Promise<FramedConnection> {
    const description = await this.session.gather()
    const answered = new Promise<void>((resolve) => {
      this.#wake = () => {
        if (this.answers().some(({ request }) => request.id === id)) resolve()
      }
    })
    await this.request(to, { id, iceMessage: printIceDescription(description) })
    await answered
    const answer = this.answers().find(({ request }) => request.id === id)
    const { connection } = await this.session.connect(parseIceDescription(answer?.request.iceMessage ?? ''))
    connection.on('error', () => {})
    return connection
  }

  /** TLS as the requester does it, with any certificate. */
  secure(connection: FramedConnection, options: { key?: string; cert?: string; maxVersion?: 'TLSv1.2' } = {}): { socket: TLSSocket; over: Promise<string> } {
    const key = options.key ?? this.identity.privateKey.pem
    const cert = options.cert ?? this.identity.chain.map((c) => c.pem).join('')
    const socket = new TLSSocket(connection, { isServer: true, requestCert: true, rejectUnauthorized: false, key, cert, ...(options.maxVersion ? { maxVersion: options.maxVersion } : {}) })
    const over = new Promise<string>((resolve) => {
      let how = 'cut'
      socket.on('end', () => {
        how = 'closed'
      })
      socket.on('error', () => {
        how = 'broken'
      })
      socket.on('close', () => resolve(how))
      connection.on('close', () => resolve(how))
    })
    socket.resume()
    return { socket, over }
  }

  async end(): Promise<void> {
    this.#stop.abort()
    await this.session.release()
  }
}
