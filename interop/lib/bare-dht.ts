// @jamikit/dht alone behind the calls `dht.*` of interop/sdk-peer.ts: puts, gets and listens against OpenDHT, no account. A file of its own,
// loaded when one of these calls comes, so that what else the process does runs the packages and nothing beside them.
import { createPublicKey } from 'node:crypto'
import type { Dht as DhtService, Logger, PrivateKey } from '@jamikit/core/contracts'
import { nodeCrypto } from '@jamikit/core/crypto'
import { parseCertificate, shortIdOf } from '@jamikit/core/identity'
import { infoHashOf } from '../../packages/core/src/identity/ids.ts'
import { nodeNetwork, nodeRandom, systemClock } from '../../packages/core/src/io/index.ts'

export interface BareDht {
  readonly calls: Readonly<Record<string, (...args: never[]) => unknown>>
  stop(): Promise<void>
}

type DhtItem = Parameters<Parameters<DhtService['onStatus']>[0]>[0]

interface DhtPutArgs {
  data?: string
  size?: number
  userType?: string
  sign?: boolean
  encryptToCertPem?: string
  permanent?: boolean
}

const dhtValue = (value: { id: bigint; data: Uint8Array; userType: string; signer: Uint8Array | undefined; encrypted: boolean }) => ({
  id: String(value.id), data: Buffer.from(value.data).toString('base64'), userType: value.userType,
  signer: value.signer === undefined ? '' : shortIdOf(value.signer), encrypted: value.encrypted,
})

export function bareDht(signal: (name: string, ...args: unknown[]) => void, logger: Logger): BareDht {
  const clock = systemClock()
  const random = nodeRandom()
  const crypto = nodeCrypto()
  const listens = new AbortController()
  let bare: DhtService | undefined
  let ownKey: PrivateKey | undefined
  const theDht = (): DhtService => {
    if (bare === undefined) throw new Error('dht.start first')
    return bare
  }

  async function listen(key: string, name: string, decrypt: boolean): Promise<void> {
    const values = theDht().listen(infoHashOf(key), { signal: listens.signal, ...(decrypt && ownKey !== undefined ? { decryptWith: ownKey } : {}) })
    for await (const { value, expired } of values) signal('dht.value', name, dhtValue(value), expired)
  }

  const calls = {
    'dht.start': async (options: { bootstrap: string[]; port?: number }) => {
      const { dht } = await import('@jamikit/dht')
      bare = dht()({ clock, random, crypto, logger, network: nodeNetwork(), ...options })
      bare.onStatus((status: DhtItem) => signal('dht.status', status))
      await bare.start()
      return { port: options.port ?? 0, nodeId: bare.nodeId }
    },
    'dht.nodeId': () => theDht().nodeId,
    'dht.connected': (family: 'ipv4' | 'ipv6', timeoutMs: number) => new Promise<void>((resolve, reject) => {
      const dht = theDht()
      const timer = setTimeout(() => end(new Error(`${family} not connected: ${JSON.stringify(dht.status())}, nodes ${JSON.stringify(dht.nodeCount())}`)), timeoutMs)
      const stop = dht.onStatus(() => check())
      const end = (error?: Error) => {
        clearTimeout(timer)
        stop()
        if (error === undefined) resolve()
        else reject(error)
      }
      const check = () => dht.status()[family] === 'connected' && end()
      check()
    }),
    'dht.identity': async () => {
      ownKey = await crypto.generateKey(2048)
      const publicKeyPem = createPublicKey({ key: Buffer.from(ownKey.publicKey), format: 'der', type: 'spki' }).export({ format: 'pem', type: 'spki' })
      return { publicKeyPem, shortId: shortIdOf(ownKey.publicKey) }
    },
    'dht.put': async (key: string, options: DhtPutArgs) => {
      const data = options.size === undefined ? Buffer.from(options.data ?? '', 'base64') : Uint8Array.from({ length: options.size }, (_, i) => i & 255)
      const result = await theDht().put(
        infoHashOf(key),
        {
          data: new Uint8Array(data),
          ...(options.userType === undefined ? {} : { userType: options.userType }),
          ...(options.sign === true && ownKey !== undefined ? { sign: ownKey } : {}),
          ...(options.encryptToCertPem === undefined ? {} : { encryptTo: parseCertificate(options.encryptToCertPem).publicKey }),
        },
        { permanent: options.permanent === true, timeoutMs: 30_000 },
      )
      return { id: String(result.id), storedBy: result.storedBy }
    },
    'dht.get': async (key: string, options: { decrypt: boolean; timeoutMs: number }) => {
      const found: object[] = []
      const values = theDht().get(infoHashOf(key), { timeoutMs: options.timeoutMs, ...(options.decrypt && ownKey !== undefined ? { decryptWith: ownKey } : {}) })
      for await (const value of values) found.push(dhtValue(value))
      return found
    },
    'dht.listen': (key: string, name: string, options: { decrypt?: boolean } = {}) => {
      listen(key, name, options.decrypt === true).catch((error: unknown) => signal('error', 'dht.listen', '', String(error)))
    },
  }
  return {
    calls,
    stop: async () => {
      listens.abort()
      await bare?.stop()
    },
  }
}
