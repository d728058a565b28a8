// A server of a history with everything it needs, and channels between two people.
import { channelPair, testPeer } from '@jamikit/core/testing'
import type { Channel, Clock, ConversationId } from '@jamikit/core/contracts'
import type { Oid } from '../src/repo/object.ts'
import type { Served } from '../src/sync/answer.ts'
import { AnswerCache } from '../src/sync/answer-cache.ts'
import { GitStream } from '../src/sync/git-stream.ts'
import { ServeRate } from '../src/sync/serve-rate.ts'
import { ServeSlots } from '../src/sync/serve-slots.ts'
import { type ServeOptions, serve } from '../src/sync/upload-pack.ts'
import { alice, bob, clock as shared } from './people.ts'

export const never = new AbortController().signal
export const conversation = 'c0'.repeat(20) as ConversationId
const peers = [testPeer(alice), testPeer(bob)] as const

/** Alice's end, Bob's end. */
export const channel = (options: { clock?: Clock; highWaterBytes?: number } = {}) => channelPair({ name: `git://${alice.deviceId}/${conversation}`, peers, ...options })

export interface ServedEnd {
  readonly options: ServeOptions
  /** Settles with the server's end. */
  readonly serving: Promise<void>
  readonly fetched: Oid[]
  ahead(): number
}

/** Alice serves a history over one end of a channel. */
export function servesOn(end: Channel, history: Served, more: Partial<ServeOptions> = {}, clock: Clock = shared): ServedEnd {
  const fetched: Oid[] = []
  let ahead = 0
  const options: ServeOptions = {
    conversation, device: alice.deviceId, history: () => history, rate: new ServeRate(), slots: new ServeSlots(), answers: new AnswerCache(), signal: never,
    onFetched: (head) => fetched.push(head), onAhead: () => ahead++, ...more,
  }
  const serving = serve(new GitStream(end, clock), options)
  serving.catch(() => {})
  return { options, serving, fetched, ahead: () => ahead }
}
