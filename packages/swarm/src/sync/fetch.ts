// The fetching side of a git session: what the peer has, and the objects that we lack. docs/protocol/04 §4.3.
// Proof: sync/fetch.test.ts (bounds, hostile servers), sync/session.test.ts (both ends, fuzz), interop.
import { JamiError, limitError } from '@jamikit/core/base'
import { concatBytes } from '@jamikit/core/codec'
import type { ConversationId, DeviceId } from '@jamikit/core/contracts'
import { MAX_HAVES, MAX_REFS } from '../defaults.ts'
import { type Oid, repoInvalid } from '../repo/object.ts'
import type { ReceivedPack } from '../repo/types.ts'
import { BandReader, printable } from './band.ts'
import type { GitStream } from './git-stream.ts'
import type { PackLimits } from './pack-objects.ts'
import { PACK_LIMITS, PackReader } from './pack-reader.ts'
import { FLUSH, pkt, pktText } from './pkt-line.ts'
import type { Scratch } from './spool.ts'
import { Turns } from '../repo/turns.ts'

export interface FetchOptions {
  readonly conversation: ConversationId
  readonly server: DeviceId
  /** What we own, most likely owned by the peer first; the first MAX_HAVES are told. */
  readonly haves: readonly Oid[]
  readonly has: (oid: Oid) => boolean
  /** Whether this head was refused lately: it is not asked for then. */
  readonly refused?: (head: Oid) => boolean
  /** Where a large pack waits. */
  readonly scratch: Scratch
  readonly limits?: Partial<PackLimits>
  readonly signal: AbortSignal
}

export interface Fetched {
  /** The peer's refs/heads/main. */
  readonly head: Oid
  /** Undefined when we have the head already. Whoever gets it discards it. */
  readonly pack: ReceivedPack | undefined
}

/**
 * One session. After an error the channel is of no use any more; `details.head` has the head when it was known.
 * @throws ERR_REPO_INVALID, ERR_CODEC, ERR_LIMIT: what the peer sends cannot be taken; ERR_PEER_REFUSED: it does not serve us (now);
 * ERR_TIMEOUT, ERR_CHANNEL_CLOSED, ERR_LINK_LOST, ERR_STORAGE_IO, ERR_ABORTED
 */
export async function fetchFrom(stream: GitStream, options: FetchOptions): Promise<Fetched> {
  const { signal } = options
  stream.begin()
  await stream.write(pkt(`git-upload-pack /${options.conversation}\0host=${options.server}\0`), signal)
  const head = await advertisedHead(stream, signal)
  if (options.has(head)) {
    await stream.write(FLUSH, signal)
    return { head, pack: undefined }
  }
  if (options.refused?.(head)) throw repoInvalid(`head ${head} was refused before`, { head, remembered: true })
  try {
    if (options.limits?.bytes === 0) throw limitError('fetched bytes', 1, 0) // nothing is asked for that could not be kept
    return { head, pack: await fetchPack(stream, head, options) }
  } catch (error) {
    throw withHead(error, head)
  }
}

/** The peer has ended the channel, or its link. */
const ENDED: ReadonlySet<string> = new Set(['ERR_CHANNEL_CLOSED', 'ERR_LINK_LOST'])

async function fetchPack(stream: GitStream, head: Oid, options: FetchOptions): Promise<ReceivedPack> {
  const { signal, scratch, limits } = options
  const reader = new PackReader({ clock: stream.clock, scratch, ...(limits ? { limits } : {}) })
  try {
    const haves = options.haves.slice(0, MAX_HAVES).map((oid) => pkt(`have ${oid}\n`))
    await stream.write(concatBytes(pkt(`want ${head} side-band-64k include-tag \n`), FLUSH, ...haves, pkt('done\n')), signal)
    await receivePack(stream, reader, limits?.bytes ?? PACK_LIMITS.bytes, signal)
    await stream.write(FLUSH, signal).catch((error: unknown) => {
      if (!JamiError.is(error) || !ENDED.has(error.code)) throw error // else: all of it is here, and a server may end the session after it
    })
  } catch (error) {
    await reader.abandon()
    throw error
  }
  const pack = await reader.finish()
  if ((await pack.stat(head))?.type === 'commit') return pack
  await pack.discard()
  throw repoInvalid(`the head ${head} is not in the pack that was asked for it`)
}

/** The error with the head it came with in `details`: whoever remembers refusals needs it. */
function withHead(error: unknown, head: Oid): JamiError {
  const { code, message, details, retryAfterMs } = JamiError.from(error, 'ERR_REPO_INVALID')
  return new JamiError(code, message, { cause: error, details: { ...details, head }, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) })
}

async function advertisedHead(stream: GitStream, signal: AbortSignal): Promise<Oid> {
  let main: Oid | undefined
  let head: Oid | undefined
  for (let refs = 1; ; refs++) {
    const item = await stream.expect(signal)
    if (item === 'flush') break
    if (refs > MAX_REFS) throw limitError('refs', refs, MAX_REFS)
    stream.progress(item.length)
    refuseError(item)
    const [line = ''] = pktText(item).split('\0')
    const match = /^([0-9a-f]{40}) (\S+)$/.exec(line)
    if (match?.[2] === 'HEAD') head = match[1]
    if (match?.[2] === 'refs/heads/main') main = match[1]
  }
  const found = main ?? head
  if (found === undefined) throw repoInvalid('the peer has no main branch')
  return found
}

async function receivePack(stream: GitStream, reader: PackReader, allowed: number, signal: AbortSignal): Promise<void> {
  const bands = new BandReader(allowed)
  const turns = new Turns(stream.clock)
  for (;;) {
    const item = await stream.expect(signal)
    if (item === 'flush') {
      if (bands.started) return
      bands.take(new Uint8Array(0))
      continue
    }
    const data = bands.take(item)
    if (data === 'text') {
      refuseError(item)
      const text = pktText(item)
      if (!/^(NAK|ACK [0-9a-f]{40}( continue| common| ready)?)$/.test(text)) throw repoInvalid(`got ${JSON.stringify(printable(item).slice(0, 100))} before the pack`)
      stream.progress(item.length)
    } else if (data && data.length > 0) {
      stream.progress(data.length)
      await reader.push(data)
    }
    const pause = turns.spend(1024)
    if (pause) await pause
  }
}

function refuseError(item: Uint8Array): void {
  if (item[0] === 0x45 && item[1] === 0x52 && item[2] === 0x52 && item[3] === 0x20) throw new JamiError('ERR_PEER_REFUSED', `the peer refused: ${printable(item.subarray(4))}`)
}
