// What of a message is worth verifying, and how much of it a source may have verified: signatures are counted, not messages. No I/O.
// docs/protocol/01 §2.10.1. Proof: engine/server.test.ts, engine/search.test.ts.
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { ASKED_SIGNATURES, PUT_SIGNATURES } from '../defaults.ts'
import type { ReplyMessage, RequestMessage } from '../wire/message.ts'
import { outerType, type Value } from '../wire/value.ts'
import { CERTIFICATE } from './policies.ts'
import { RateLimiter } from './rate-limiter.ts'

/** A message that passed the checks of its envelope; its signed values still have to be verified before it is acted on. */
export interface Received {
  readonly message: RequestMessage | ReplyMessage
  readonly from: SocketAddress
  /** Of the datagram. */
  readonly bytes: number
  /** Signed values and certificates that have to be looked at: within the budget of their source, and not here already. */
  readonly unverified: readonly Value[]
  /** Taken out of the message: their source has used up its budget. They are refused. */
  readonly refused: readonly Value[]
}

export interface AdmissionHost {
  /** A request of ours is under way. */
  answers(tid: number, from: SocketAddress): boolean
  /** A listen of ours has this socket id there. */
  listens(family: 4 | 6, node: InfoHash, sid: number): boolean
  token(token: Uint8Array | undefined, from: SocketAddress, now: number): boolean
  /** Exactly this value is stored here. */
  holds(key: InfoHash, value: Value): boolean
}

export class Admission {
  readonly #host: AdmissionHost
  readonly #put = new RateLimiter(PUT_SIGNATURES)
  readonly #asked = new RateLimiter(ASKED_SIGNATURES)

  constructor(host: AdmissionHost) {
    this.#host = host
  }

  /** Values that will not be used anyway are left out before anybody verifies their signatures; so are those beyond the budget. */
  admit(message: RequestMessage | ReplyMessage, from: SocketAddress, bytes: number, now: number): Received {
    const { values = [], h } = message.args
    if (values.length === 0) return { message, from, bytes, unverified: [], refused: [] }
    const put = message.kind === 'request' && message.name === 'put'
    const wanted = message.kind === 'reply' ? this.#host.answers(message.tid, from) || this.#host.listens(from.family, message.args.id, message.tid)
      : put ? this.#host.token(message.args.token, from, now)
      : message.name === 'update' && message.args.sid !== undefined && this.#host.listens(from.family, message.args.id, message.args.sid)
    if (!wanted) return { message: { ...message, args: { ...message.args, values: [] } }, from, bytes, unverified: [], refused: [] }
    const costly = values.filter((v) => (v.body?.owner !== undefined || outerType(v) === CERTIFICATE) && !(put && h !== undefined && this.#host.holds(h, v)))
    const room = (put ? this.#put : this.#asked).take(from, costly.length, now)
    if (room === costly.length) return { message, from, bytes, unverified: costly, refused: [] }
    const refused = costly.slice(room)
    const out = new Set(refused)
    return { message: { ...message, args: { ...message.args, values: values.filter((v) => !out.has(v)) } }, from, bytes, unverified: costly.slice(0, room), refused }
  }
}
