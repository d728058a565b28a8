// The fetching side of a git session: what the peer has, and the objects that we lack. docs/protocol/04 §4.3.
// Proof: sync/session.test.ts (against our server, every split point), interop.
import { JamiError, limitError } from '@jamikit/core/base'
import { concatBytes, fromUtf8 } from '@jamikit/core/codec'
import type { ConversationId, DeviceId } from '@jamikit/core/contracts'
import { MAX_FETCH_BYTES } from '../defaults.ts'
import { type GitObject, type Oid, repoInvalid } from '../repo/object.ts'
import type { GitStream } from './git-stream.ts'
import { decodePack } from './pack.ts'
import { FLUSH, pkt, pktText } from './pkt-line.ts'

const MAX_REFS = 4096

export interface Fetched {
  /** The peer's refs/heads/main. */
  readonly head: Oid
  /** Nothing when we have the head already. */
  readonly objects: ReadonlyMap<Oid, GitObject>
}

/** @param haves what we own, most certain first; at most 19 @throws ERR_REPO_INVALID, ERR_CODEC, ERR_LIMIT, ERR_TIMEOUT, ERR_CHANNEL_CLOSED */
export async function fetchFrom(
  stream: GitStream,
  options: { conversation: ConversationId; server: DeviceId; haves: readonly Oid[]; has: (oid: Oid) => boolean; signal: AbortSignal },
): Promise<Fetched> {
  const { channel } = stream
  const { signal } = options
  await channel.write(pkt(`git-upload-pack /${options.conversation}\0host=${options.server}\0`))
  const head = await advertisedHead(stream, signal)
  if (options.has(head)) {
    await channel.write(FLUSH)
    return { head, objects: new Map() }
  }
  const haves = options.haves.map((oid) => pkt(`have ${oid}\n`))
  await channel.write(concatBytes(pkt(`want ${head} side-band-64k include-tag \n`), FLUSH, ...haves, pkt('done\n')))
  const pack = await receivePack(stream, signal)
  await channel.write(FLUSH)
  return { head, objects: decodePack(pack) }
}

async function advertisedHead(stream: GitStream, signal: AbortSignal): Promise<Oid> {
  let main: Oid | undefined
  let head: Oid | undefined
  for (let refs = 0; ; refs++) {
    const item = await stream.expect(signal)
    if (item === 'flush') break
    if (refs > MAX_REFS) throw limitError('refs', refs, MAX_REFS)
    const [line = ''] = pktText(item).split('\0')
    if (line.startsWith('ERR ')) throw repoInvalid(`the peer refused: ${line.slice(4, 200)}`)
    const match = /^([0-9a-f]{40}) (\S+)$/.exec(line)
    if (match?.[2] === 'HEAD') head = match[1]
    if (match?.[2] === 'refs/heads/main') main = match[1]
  }
  const found = main ?? head
  if (found === undefined) throw repoInvalid('the peer has no main branch')
  return found
}

async function receivePack(stream: GitStream, signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = [] // bounded by MAX_FETCH_BYTES
  let size = 0
  let started = false
  for (;;) {
    const item = await stream.expect(signal)
    if (item === 'flush') {
      if (started) return concatBytes(...parts)
      continue
    }
    const band = item[0]
    if (!started && band !== 1 && band !== 2 && band !== 3) {
      const text = pktText(item)
      if (/^(NAK|ACK [0-9a-f]{40}( continue| common| ready)?)$/.test(text)) continue
      throw repoInvalid(`got ${JSON.stringify(text.slice(0, 100))} before the pack`)
    }
    if (band === 3) throw new JamiError('ERR_REPO_INVALID', `the peer failed: ${fromUtf8(item.subarray(1)).slice(0, 200)}`)
    if (band !== 1) continue // progress
    started = true
    size += item.length - 1
    if (size > MAX_FETCH_BYTES) throw limitError('fetched bytes', size, MAX_FETCH_BYTES)
    parts.push(item.subarray(1))
  }
}

