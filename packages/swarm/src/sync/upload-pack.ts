// The serving side of git sessions: any number on one channel, until the peer ends it. What we do not do ends with a line that says so.
// docs/protocol/04 §4.3. Proof: sync/upload-pack.test.ts (bounds, rates, other services), sync/session.test.ts (both ends, fuzz), sync/stock-git.test.ts.
import { JamiError, limitError, withOp } from '@jamikit/core/base'
import { concatBytes } from '@jamikit/core/codec'
import type { ConversationId, DeviceId } from '@jamikit/core/contracts'
import { MAX_PEER_HAVES, MAX_PEER_WANTS, SESSION_IDLE_MS } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import type { PackedObject } from '../repo/types.ts'
import { type Answer, answerFor, answerIds, answerSize, type Served } from './answer.ts'
import type { AnswerCache } from './answer-cache.ts'
import { BandWriter } from './band.ts'
import type { GitStream } from './git-stream.ts'
import { writePack } from './pack-writer.ts'
import { FLUSH, pkt, pktText } from './pkt-line.ts'
import type { ServeRate } from './serve-rate.ts'
import type { ServeSlots } from './serve-slots.ts'
import { Turns } from '../repo/turns.ts'

const CAPABILITIES = 'side-band side-band-64k no-progress include-tag'

export interface ServeOptions {
  readonly conversation: ConversationId
  /** Ours: a daemon names it as host. */
  readonly device: DeviceId
  /** Asked anew for every session. */
  readonly history: () => Served
  readonly rate: ServeRate
  readonly slots: ServeSlots
  /** Of this history. */
  readonly answers: AnswerCache
  /** The peer now has this commit and all before it. */
  readonly onFetched: (head: Oid) => void
  /** The peer told of commits that we do not have: it will merge, and merges are announced by nobody. */
  readonly onAhead: (commit: Oid) => void
  readonly signal: AbortSignal
}

/** @throws ERR_CODEC, ERR_LIMIT, ERR_REPO_INVALID, ERR_UNSUPPORTED, ERR_TIMEOUT, ERR_LINK_LOST; the channel is ended when we refuse */
export async function serve(stream: GitStream, options: ServeOptions): Promise<void> {
  try {
    await new Server(stream, options).run()
  } catch (error) {
    if (error instanceof Refusal) await tell(stream, error, options.signal)
    throw error instanceof Refusal ? error.error : error
  }
}

/** What the peer is told before the channel ends. */
class Refusal extends Error {
  readonly error: JamiError

  constructor(error: JamiError) {
    super(error.message)
    this.error = error
  }
}

async function tell(stream: GitStream, refusal: Refusal, signal: AbortSignal): Promise<void> {
  try {
    await stream.write(pkt(`ERR ${refusal.message}\n`), signal)
    await withOp(stream.clock, { timeoutMs: SESSION_IDLE_MS, signal }, 'git session', () => stream.channel.close())
  } catch {
    // the peer does not listen, and is refused all the same
  }
}

class Server {
  readonly #stream: GitStream
  readonly #options: ServeOptions
  readonly #turns: Turns
  readonly #peer: DeviceId
  #advertised: Oid | undefined
  /** The request has the form of a client that keeps what it fetches: a bare flush means that it has the head. */
  #keeps = false
  #wants: Oid[] = [] // bounded by MAX_PEER_WANTS
  #haves: Oid[] = [] // bounded by MAX_PEER_HAVES

  constructor(stream: GitStream, options: ServeOptions) {
    this.#stream = stream
    this.#options = options
    this.#turns = new Turns(stream.clock)
    this.#peer = stream.channel.remote.deviceId
  }

  async run(): Promise<void> {
    for (;;) {
      const item = await this.#stream.next({ patient: true, signal: this.#options.signal })
      if (item === undefined) return
      const pause = this.#turns.object(item.length)
      if (pause) await pause
      if (item === 'flush') await this.#flush()
      else await this.#line(pktText(item))
    }
  }

  async #line(line: string): Promise<void> {
    const [word = ''] = line.split(' ', 1)
    if (word === 'git-upload-pack') return this.#advertise(line)
    if (word === 'want') return this.#want(line)
    if (word === 'have') return this.#have(line)
    if (line === 'done') return this.#done()
    const what = /^[a-z-]{1,40}$/.test(word) ? word : 'this'
    throw new Refusal(new JamiError('ERR_UNSUPPORTED', `${what} is not served here, only git-upload-pack without shallow`))
  }

  async #advertise(line: string): Promise<void> {
    if (!this.#options.rate.session(this.#peer, this.#now())) throw this.#tooMuch('sessions')
    this.#stream.begin()
    this.#wants = []
    this.#haves = []
    const { head } = this.#options.history()
    this.#advertised = head
    this.#keeps = line === `git-upload-pack /${this.#options.conversation}\0host=${this.#options.device}\0`
    const version = /\0version=(\d)\0/.exec(line)?.[1]
    await this.#write(concatBytes(...(version === '1' ? [pkt('version 1\0')] : []), pkt(`${head} HEAD\0${CAPABILITIES}\n`), pkt(`${head} refs/heads/main\n`), FLUSH))
  }

  #want(line: string): void {
    const oid = /^want ([0-9a-f]{40})(?: |$)/.exec(line)?.[1]
    if (oid === undefined) throw new Refusal(new JamiError('ERR_CODEC', 'want: got something else than an id'))
    if (!this.#advertised) throw new Refusal(new JamiError('ERR_REPO_INVALID', 'want: before the refs were asked for'))
    if (!this.#options.history().info(oid)) throw new Refusal(new JamiError('ERR_REPO_INVALID', `want: ${oid} is not a commit that is here`))
    if (this.#wants.includes(oid)) return
    if (this.#wants.length >= MAX_PEER_WANTS) throw new Refusal(limitError('wants', this.#wants.length + 1, MAX_PEER_WANTS))
    this.#wants.push(oid)
  }

  #have(line: string): void {
    const oid = /^have ([0-9a-f]{40})$/.exec(line)?.[1]
    if (oid === undefined) throw new Refusal(new JamiError('ERR_CODEC', 'have: got something else than an id'))
    if (this.#haves.length >= MAX_PEER_HAVES) throw new Refusal(limitError('haves', this.#haves.length + 1, MAX_PEER_HAVES))
    this.#haves.push(oid)
  }

  async #flush(): Promise<void> {
    const advertised = this.#advertised
    if (this.#wants.length === 0) {
      this.#advertised = undefined
      if (advertised && this.#keeps) this.#options.onFetched(advertised)
    } else if (this.#haves.length > 0) {
      const history = this.#options.history()
      const common = this.#haves.find((oid) => history.info(oid))
      await this.#write(concatBytes(...(common ? [pkt(`ACK ${common} continue\n`)] : []), pkt('NAK\n')))
    }
  }

  async #done(): Promise<void> {
    const [wants, haves] = [this.#wants, this.#haves]
    const [want] = wants
    if (want === undefined) throw new Refusal(new JamiError('ERR_REPO_INVALID', 'done: without a want'))
    this.#wants = []
    this.#haves = []
    this.#advertised = undefined
    if (!this.#options.rate.mayPack(this.#peer, this.#now())) throw this.#tooMuch('bytes')
    const history = this.#options.history()
    const owned = haves.filter((oid) => history.info(oid))
    const leave = await this.#options.slots.enter(this.#peer, this.#options.signal).catch((error: unknown) => {
      throw JamiError.is(error, 'ERR_LIMIT') ? new Refusal(error) : error
    })
    try {
      await this.#sendPack(history, await this.#answer(history, wants, owned), owned[0])
    } finally {
      leave()
    }
    for (const head of wants) this.#options.onFetched(head)
    const unknown = haves.find((oid) => !history.info(oid))
    if (unknown !== undefined) this.#options.onAhead(unknown)
  }

  async #answer(history: Served, wants: readonly Oid[], owned: readonly Oid[]): Promise<Answer> {
    const { answers } = this.#options
    const known = answers.get(wants, owned)
    if (known) return known
    const answer = await answerFor(history, wants, owned, this.#turns)
    answers.set(wants, owned, answer)
    return answer
  }

  async #sendPack(history: Served, answer: Answer, common: Oid | undefined): Promise<void> {
    this.#stream.begin()
    await this.#write(pkt(common ? `ACK ${common}\n` : 'NAK\n'))
    const band = new BandWriter((packet) => this.#write(packet))
    await writePack(answerSize(answer), this.#objects(history, answer), (piece) => band.write(piece))
    await band.end()
  }

  async *#objects(history: Served, answer: Answer): AsyncGenerator<PackedObject> {
    for (const oid of answerIds(history, answer)) {
      const object = await history.packed(oid)
      if (!object) throw new JamiError('ERR_STORAGE_CORRUPT', `object ${oid} is missing`)
      const pause = this.#turns.object(object.deflated.length)
      if (pause) await pause
      yield object
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#options.rate.sent(this.#peer, bytes.length, this.#now())
    await this.#stream.write(bytes, this.#options.signal)
    this.#stream.progress(bytes.length)
  }

  #tooMuch(what: string): Refusal {
    return new Refusal(new JamiError('ERR_LIMIT', `too many ${what}, try again in a minute`, { details: { what, device: this.#peer }, retryAfterMs: 60_000 }))
  }

  #now(): number {
    return this.#stream.clock.now()
  }
}
