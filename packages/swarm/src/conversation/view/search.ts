// Looking for messages: words through the index, so that it costs what is found; a pattern over the texts that the other conditions leave, in
// slices, in a thread, under a limit of time. What the index gives is checked against the text as it stands now: words of an earlier edition, or
// of a message that was taken back, find nothing. docs/protocol/04 §5.10, §12.7 S9. Proof: conversation/view/views.test.ts.
import { argumentError, JamiError, Slices } from '@jamikit/core/base'
import type { Clock, ConversationEntry, MessageQuery, MessageView } from '@jamikit/core/contracts'
import type { Oid } from '../../repo/object.ts'
import type { CommitInfo, History } from '../../repo/types.ts'
import { isMessage, isVisible } from './kinds.ts'
import type { PatternThread } from './pattern.ts'
import type { Projection } from './projection.ts'
import type { ViewIndex } from './view-index.ts'
import { hasWords, queryWords } from './words.ts'

/** Milliseconds that the pattern of one search may run, in all. */
export const PATTERN_TIME_MS = 2_000
export const MAX_PATTERN_LENGTH = 1_000
/** Texts that go to the thread at once, and their characters. */
const BATCH_TEXTS = 256
const BATCH_CHARACTERS = 1 << 20
/** Commits that are looked at between two turns of the event loop. */
const ROWS_AT_ONCE = 8_000

export interface SearchEnv {
  readonly clock: Pick<Clock, 'track'>
  readonly history: History
  readonly index: ViewIndex
  readonly projection: Projection
  readonly entry: (oid: Oid) => Promise<ConversationEntry | undefined>
  readonly patterns: Pick<PatternThread, 'run'>
}

/** Newest first. @throws ERR_LIMIT when a pattern takes too long, ERR_ARGUMENT when it is too long */
export async function* search(env: SearchEnv, query: MessageQuery): AsyncGenerator<MessageView> {
  const { text, limit = Number.POSITIVE_INFINITY } = query
  const words = typeof text === 'string' ? queryWords(text) : []
  if (limit <= 0 || (typeof text === 'string' && text.trim() !== '' && words.length === 0)) return
  const found = text instanceof RegExp ? withPattern(env, query, text) : withWords(env, query, words)
  let count = 0
  for await (const entry of found) {
    yield await env.projection.view(entry)
    if (++count >= limit) return
  }
}

async function* withWords(env: SearchEnv, query: MessageQuery, words: readonly string[]): AsyncGenerator<ConversationEntry> {
  for await (const info of candidates(env, query, words)) {
    const entry = await env.entry(info.oid)
    if (!entry || (query.type !== undefined && entry.type !== query.type)) continue
    if (words.length > 0) {
      const text = await env.projection.text(entry)
      if (text === undefined || !hasWords(text, words)) continue
    }
    yield entry
  }
}

async function* withPattern(env: SearchEnv, query: MessageQuery, pattern: RegExp): AsyncGenerator<ConversationEntry> {
  const { clock, patterns, projection } = env
  if (pattern.source.length > MAX_PATTERN_LENGTH) throw argumentError('text', `a pattern of ${pattern.source.length} characters`, `up to ${MAX_PATTERN_LENGTH}`)
  let leftMs = PATTERN_TIME_MS
  const matching = async (batch: readonly { entry: ConversationEntry; text: string }[]): Promise<ConversationEntry[]> => {
    const { found, tookMs } = await clock.track(patterns.run({ pattern, texts: batch.map(({ text }) => text), timeMs: leftMs }))
    leftMs -= tookMs
    if (!found || leftMs <= 0) throw new JamiError('ERR_LIMIT', `search: the pattern ran for more than ${PATTERN_TIME_MS} ms`, { details: { allowed: PATTERN_TIME_MS, pattern: pattern.source.slice(0, 100) } })
    return found.flatMap((i) => batch[i]?.entry ?? [])
  }
  let batch: { entry: ConversationEntry; text: string }[] = []
  let characters = 0
  for await (const info of candidates(env, query, [])) {
    if (!isMessage(env.index.kind(info.row))) continue
    const entry = await env.entry(info.oid)
    if (!entry || (query.type !== undefined && entry.type !== query.type)) continue
    const text = await projection.text(entry)
    if (text === undefined) continue
    batch.push({ entry, text })
    characters += text.length
    if (batch.length < BATCH_TEXTS && characters < BATCH_CHARACTERS) continue
    yield* await matching(batch)
    batch = []
    characters = 0
  }
  if (batch.length > 0) yield* await matching(batch)
}

/** What may be meant, newest first, by all that is known without reading. */
async function* candidates(env: SearchEnv, query: MessageQuery, words: readonly string[]): AsyncGenerator<CommitInfo> {
  const { history, index, clock } = env
  const fits = ({ row, author, timeS }: CommitInfo) =>
    isVisible(index.kind(row)) && (query.author === undefined || author === query.author) && timeS * 1000 >= (query.afterMs ?? Number.NEGATIVE_INFINITY) && timeS * 1000 < (query.beforeMs ?? Number.POSITIVE_INFINITY)
  const slices = new Slices(clock, ROWS_AT_ONCE)
  const rows = await indexed(env, query, words)
  if (rows) {
    const places = new Map<number, number>() // bounded by what is found
    for (const row of rows) {
      const info = history.row(row)
      if (info.position >= 0 && fits(info)) places.set(row, info.position)
      const turn = slices.spend(1)
      if (turn) await turn
    }
    for (const [row] of [...places].sort((a, b) => b[1] - a[1])) yield history.row(row)
    return
  }
  for (let position = history.length - 1; position >= 0; position--) {
    const info = history.at(position)
    if (fits(info)) yield info
    const turn = slices.spend(1)
    if (turn) await turn
  }
}

/** Rows from the index; undefined when it says nothing about the query. */
async function indexed({ index }: SearchEnv, { type }: MessageQuery, words: readonly string[]): Promise<Set<number> | undefined> {
  let rows: Set<number> | undefined
  for (const word of [...words].sort((a, b) => b.length - a.length)) {
    const found: readonly number[] = await index.withWord(word)
    const before: Set<number> | undefined = rows
    rows = new Set(before ? found.filter((row) => before.has(row)) : found)
    if (rows.size === 0) return rows
  }
  if (type !== undefined && type !== 'text/plain' && rows === undefined) return new Set(await index.ofType(type))
  return rows
}
