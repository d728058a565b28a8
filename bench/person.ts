// The one face behind which both are measured: what a person of a bench can do, whoever it is. Ours: bench/sdk-person.ts; the real daemon:
// bench/daemon-person.ts. Times are those at which the measuring process reads the line, for both.
import type { LineChild } from '../interop/lib/line-child.ts'
import type { LoopDelay } from '../interop/lib/loop-watch.ts'

export type Kind = 'sdk' | 'daemon'
export const KINDS = ['sdk', 'daemon'] as const

export interface Seen {
  readonly atMs: number
}
export interface Since {
  readonly since?: number
  readonly timeoutMs?: number
}
/** A file as it was announced. */
export interface Offered extends Seen {
  readonly message: string
  readonly fileId: string
}

export interface Person {
  readonly kind: Kind
  readonly dir: string
  readonly uri: string
  /** Number of its host in the network. */
  readonly host: number
  readonly pid: number
  mark(): number
  /** Sends a contact request; the conversation's id. */
  ask(uri: string): Promise<string>
  asked(from: string, options: Since): Promise<Seen>
  /** Only starts it: `ready` tells the end. */
  accept(from: string): Promise<unknown>
  ready(conversation: string, options: Since): Promise<Seen>
  joined(conversation: string, member: string, options: Since): Promise<Seen>
  send(conversation: string, text: string): Promise<unknown>
  heard(conversation: string, text: string, options: Since): Promise<Seen>
  /** The sender knows its own message is in the conversation. */
  echoed(conversation: string, text: string, options: Since): Promise<unknown>
  /** Texts `<prefix>0`, `<prefix>1`, …; resolves when they are all in the own history. One after another, or all handed over at once. */
  write(conversation: string, prefix: string, count: number, how: 'in turn' | 'at once'): Promise<void>
  /** The last of so many different texts that begin so. */
  heardAll(conversation: string, prefix: string, count: number, options: Since): Promise<Seen>
  /** How many different texts that begin so it has shown (ours) or has in its repository (the daemon: it does not show all of a merge). */
  has(conversation: string, prefix: string): number
  /** Merge commits in it (ours: that it has seen since its start). */
  merges(conversation: string): number
  /** Newest commit of the conversation, from disk where it can be had there. */
  head(conversation: string): Promise<string>
  repository(conversation: string): string

  startGroup(): Promise<string>
  invite(conversation: string, uri: string): Promise<unknown>
  invited(conversation: string, options: Since): Promise<unknown>
  /** Only starts it: `ready` tells the end. */
  acceptInvitation(conversation: string): Promise<unknown>

  /** Puts a file of its folder into the conversation. */
  offer(conversation: string, path: string, name: string): Promise<unknown>
  offered(conversation: string, name: string, options: Since): Promise<Offered>
  /** Asks for it. `done`: the file is there, checked. `over`: what the bench does with it afterwards (a check of ours), too. */
  fetch(conversation: string, file: Offered, target: string, timeoutMs: number): { readonly done: Promise<Seen>; readonly over: Promise<unknown> }

  /** Messages with that word: how many, where it says so. The daemon says nothing: its processor time tells that it is over. */
  search(conversation: string, word: string): Promise<number | undefined>
  /** Of our nodes: the longest turn of the event loop since the last call, and memory. */
  loopDelay?(): Promise<LoopDelay & NodeJS.MemoryUsage>
  stop(): Promise<void>
  /** Again, with what it has kept. */
  start(): Promise<void>
}

export const WRITE_MS = 3_600_000

export type TextOf = (line: Record<string, unknown>) => string | undefined

/** Waits until a child has shown `count` different texts. */
export function allTexts(child: LineChild, textOf: TextOf, prefix: string, count: number, { since = 0, timeoutMs = 60_000 }: Since): Promise<Seen> {
  const seen = new Set<string>()
  let at = since
  return child.until(() => {
    for (; at < child.events.length; at++) {
      const event = child.events[at]
      const text = event && textOf(event.line)
      if (text?.startsWith(prefix)) seen.add(text)
      if (event && seen.size === count) return { atMs: event.atMs }
    }
    return undefined
  }, `${count} texts ${prefix}…`, timeoutMs)
}

export function fail(why: string): never {
  throw new Error(why)
}
