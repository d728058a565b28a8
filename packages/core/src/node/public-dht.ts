// The public face of the DHT: text keys, plain entries, accounts as signers; every argument is checked at the call. No protocol.
// Proof: node/public-dht.test.ts.
import { type Check, checkArgument, checkOptions, is, OP, type Shape } from '../base/arguments.ts'
import { SEQUENCE, USER_TYPE, VALUE_ID } from '../base/dht-arguments.ts'
import { argumentError } from '../base/errors.ts'
import { withOp } from '../base/operation.ts'
import { LinkedSignal } from '../base/signals.ts'
import { toHex, utf8 } from '../codec/bytes.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Dht as WireDht, DhtPut, DhtValue } from '../contracts/dht.ts'
import type { DeviceIdentity } from '../contracts/identity.ts'
import type { DeviceId, InfoHash } from '../contracts/ids.ts'
import type { Random } from '../contracts/random.ts'
import type { Op } from '../contracts/service.ts'
import { infoHashOf, parseDeviceId, parseInfoHash, shortIdOf } from '../identity/ids.ts'
import type { Account } from './api.ts'
import type { Dht, DhtEntry } from './api-node.ts'

export interface PublicDhtEnv {
  readonly dht: WireDht
  readonly clock: Clock
  readonly random: Random
  /** @throws ERR_CLOSED when the account is not of this node or stopped */
  readonly identityOf: (account: Account) => DeviceIdentity
  /** Public key of a device, SPKI. @throws ERR_NOT_FOUND */
  readonly publicKeyOf: (account: Account, device: DeviceId, op: Op) => Promise<Uint8Array>
}

function entry(value: DhtValue): DhtEntry {
  const { id, data, type, userType, encrypted } = value
  return { id, data, type, userType, encrypted, signer: value.signer && shortIdOf(value.signer) }
}

const MAX_VALUE_BYTES = 65_536
const KEY: Check = is.hex(40)
const ACCOUNT: Check = { allowed: 'an account of this node', test: (value) => typeof value === 'object' && value !== null, shown: (value) => typeof value }
const DATA: Check = {
  allowed: `a text or a Uint8Array, at most ${MAX_VALUE_BYTES} bytes`, test: (value) => typeof value === 'string' ? utf8(value).length <= MAX_VALUE_BYTES : value instanceof Uint8Array && value.length <= MAX_VALUE_BYTES,
  shown: (value) => typeof value === 'string' ? `a text of ${utf8(value).length} bytes` : value instanceof Uint8Array ? `${value.length} bytes` : typeof value,
}
const GET: Shape = { as: ACCOUNT, filter: is.function, ...OP }
const LISTEN: Shape = { as: ACCOUNT, signal: is.signal }
const PUT: Shape = { permanent: is.boolean, sign: ACCOUNT, encryptTo: is.hex(64), userType: USER_TYPE, id: VALUE_ID, seq: SEQUENCE, ...OP }

export class PublicDht implements Dht {
  readonly #env: PublicDhtEnv

  constructor(env: PublicDhtEnv) {
    this.#env = env
  }

  get nodeId(): InfoHash {
    return this.#env.dht.nodeId
  }

  key(text: string): InfoHash {
    checkArgument('text', text, { allowed: 'a text', test: (value) => typeof value === 'string' })
    return infoHashOf(text)
  }

  random(): InfoHash {
    return toHex(this.#env.random.bytes(20)) as InfoHash
  }

  status() {
    return this.#env.dht.status()
  }

  async ready(op?: Op): Promise<void> {
    checkOptions(op, OP)
    const { dht, clock } = this.#env
    const connected = () => Object.values(dht.status()).includes('connected')
    return withOp(clock, op, 'joining the DHT', (signal) =>
      new Promise((resolve) => {
        if (connected()) return resolve()
        const off = dht.onStatus(() => {
          if (!connected()) return
          off()
          resolve()
        })
        signal.addEventListener('abort', off, { once: true })
      }))
  }

  bootstrap(...hosts: string[]): Promise<void> {
    return this.#env.dht.bootstrap(...hosts)
  }

  get(key: InfoHash, options: { as?: Account; filter?: (value: DhtEntry) => boolean } & Op = {}): AsyncIterableIterator<DhtEntry> {
    checkArgument('key', key, KEY)
    checkOptions(options, GET)
    return this.#get(key, options)
  }

  async *#get(key: InfoHash, options: { as?: Account; filter?: (value: DhtEntry) => boolean } & Op): AsyncIterableIterator<DhtEntry> {
    const { as, filter, ...op } = options
    const found = this.#env.dht.get(parseInfoHash(key), { ...op, ...(as ? { decryptWith: this.#env.identityOf(as).privateKey } : {}) })
    for await (const value of found) {
      const shown = entry(value)
      if (!filter || filter(shown)) yield shown
    }
  }

  listen(key: InfoHash, options: { as?: Account; signal?: AbortSignal } = {}): AsyncIterableIterator<{ value: DhtEntry; expired: boolean }> {
    checkArgument('key', key, KEY)
    checkOptions(options, LISTEN)
    return this.#listen(key, options)
  }

  async *#listen(key: InfoHash, options: { as?: Account; signal?: AbortSignal }): AsyncIterableIterator<{ value: DhtEntry; expired: boolean }> {
    const own = new LinkedSignal(options.signal)
    try {
      const events = this.#env.dht.listen(parseInfoHash(key), { signal: own.signal, ...(options.as ? { decryptWith: this.#env.identityOf(options.as).privateKey } : {}) })
      for await (const event of events) yield { value: entry(event.value), expired: event.expired }
    } finally {
      own.abort()
    }
  }

  async put(
    key: InfoHash,
    data: Uint8Array | string,
    options: { permanent?: boolean; sign?: Account; encryptTo?: DeviceId; userType?: string; id?: bigint; seq?: number } & Op = {},
  ): Promise<{ id: bigint; storedBy: number; cancel(): void }> {
    checkArgument('key', key, KEY)
    checkArgument('data', data, DATA)
    checkOptions(options, PUT)
    const { permanent, sign, encryptTo, userType, id, seq, ...op } = options
    if (encryptTo !== undefined && sign === undefined) throw argumentError('encryptTo', 'no sign beside it', 'only together with sign, since encrypted values are signed')
    if (seq !== undefined && sign === undefined) throw argumentError('seq', 'no sign beside it', 'only together with sign')
    const value: DhtPut = {
      data: typeof data === 'string' ? utf8(data) : data,
      ...(userType === undefined ? {} : { userType }), ...(id === undefined ? {} : { id }), ...(seq === undefined ? {} : { seq }),
      ...(sign ? { sign: this.#env.identityOf(sign).privateKey } : {}),
      ...(sign && encryptTo ? { encryptTo: await this.#env.publicKeyOf(sign, parseDeviceId(encryptTo), op) } : {}),
    }
    return this.#env.dht.put(parseInfoHash(key), value, { ...op, ...(permanent === undefined ? {} : { permanent }) })
  }
}
