// What was refused is not fetched again at once: remembered by head and by source, longer each time. Pure, time is an argument.
// docs/protocol/04 §4.3, §3.8. Proof: sync/refusals.test.ts.
import { JamiError } from '@jamikit/core/base'
import type { JamiErrorCode } from '@jamikit/core/contracts'
import { MAX_REFUSED_HEADS, MAX_REFUSED_SOURCES, REFUSED_HEAD_MS, REFUSED_MAX_MS, REFUSED_SOURCE_MS } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'

const TRANSIENT: ReadonlySet<JamiErrorCode> = new Set<JamiErrorCode>([
  'ERR_PEER_OFFLINE', 'ERR_PEER_REFUSED', 'ERR_NO_ROUTE', 'ERR_LINK_LOST', 'ERR_CHANNEL_DECLINED', 'ERR_CHANNEL_CLOSED', 'ERR_DHT_UNREACHABLE', 'ERR_TIMEOUT',
  'ERR_ABORTED', 'ERR_CLOSED', 'ERR_STORAGE_LOCKED', 'ERR_STORAGE_CORRUPT', 'ERR_STORAGE_IO',
])

/** True for the way (a link, time, our own disk), false for what the peer sent: the same would be refused again. An error that is not ours is of the second kind. */
export function isTransient(error: unknown): boolean {
  return JamiError.is(error) && TRANSIENT.has(error.code)
}

/** The head that an error of a fetch is about. */
export function headOf(error: unknown): Oid | undefined {
  const head: unknown = JamiError.is(error) ? error.details.head : undefined
  return typeof head === 'string' ? head : undefined
}

interface Held {
  times: number
  untilMs: number
}

interface Source extends Held {
  readonly heads: Map<Oid, Held> // bounded by MAX_REFUSED_HEADS
}

/** @see fetch.ts `refused` */
export class Refusals {
  readonly #sources = new Map<string, Source>() // bounded by MAX_REFUSED_SOURCES

  /** @param source a device in a conversation: a broken history of others does not keep us from it elsewhere @returns whether this head was not refused before */
  refuse(source: string, head: Oid, nowMs: number): boolean {
    const known = this.#sources.get(source) ?? { times: 0, untilMs: 0, heads: new Map<Oid, Held>() }
    const its = known.heads.get(head) ?? { times: 0, untilMs: 0 }
    const isNew = its.times === 0
    hold(known, REFUSED_SOURCE_MS, nowMs)
    hold(its, REFUSED_HEAD_MS, nowMs)
    known.heads.delete(head)
    known.heads.set(head, its)
    dropOldest(known.heads, MAX_REFUSED_HEADS)
    this.#sources.delete(source)
    this.#sources.set(source, known)
    dropOldest(this.#sources, MAX_REFUSED_SOURCES)
    return isNew
  }

  /** How long not to fetch from a source at all (without `head`), or this head of it; 0 when it may be. */
  waitMs(source: string, head: Oid | undefined, nowMs: number): number {
    const known = this.#sources.get(source)
    const until = Math.max(known?.untilMs ?? 0, (head && known?.heads.get(head)?.untilMs) || 0)
    return Math.max(0, until - nowMs)
  }

  /** A fetch from it was good: what it does next counts anew. Heads stay refused. */
  accept(source: string): void {
    const known = this.#sources.get(source)
    if (!known) return
    known.times = 0
    known.untilMs = 0
  }

  forget(source: string): void {
    this.#sources.delete(source)
  }
}

function hold(it: Held, firstMs: number, nowMs: number): void {
  it.untilMs = nowMs + Math.min(firstMs * 2 ** it.times, REFUSED_MAX_MS)
  it.times = Math.min(it.times + 1, 30)
}

function dropOldest(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return
    map.delete(key)
  }
}
