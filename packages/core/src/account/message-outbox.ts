// Messages that wait for a channel: a queue per account or device, bounded in messages and bytes per target and by class, so that what
// waits for members and strangers never takes the place of what waits for contacts. Pure. docs/protocol/03 §7.4. Proof: account/message-outbox.test.ts.
import { limitError } from '../base/errors.ts'
import type { Deferred } from '../base/operation.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'

export type Target = AccountUri | DeviceId

export interface OutgoingMessage {
  readonly mime: string
  readonly body: string
  /** UTF-8 length of the body. */
  readonly bytes: number
  readonly slot: string | undefined
  readonly done: Deferred<boolean>
  tries: number
}

/** Messages waiting for one account or device. */
export const MAX_QUEUED_PER_TARGET = 256
export const MAX_BYTES_PER_TARGET = 2 << 20
/** Targets and bytes of all: contacts and own devices, members of our conversations, and everybody else. */
export const OUTBOX = { known: { targets: 10_000, bytes: 32 << 20 }, member: { targets: 4_000, bytes: 8 << 20 }, other: { targets: 1_000, bytes: 4 << 20 } } as const
/** What a message takes beside its body. */
const OVERHEAD = 256

type TargetClass = keyof typeof OUTBOX

interface Queue {
  readonly of: TargetClass
  readonly items: OutgoingMessage[] // bounded by MAX_QUEUED_PER_TARGET and MAX_BYTES_PER_TARGET
  bytes: number
}

export class MessageOutbox {
  readonly #queues = new Map<Target, Queue>() // bounded by OUTBOX
  readonly #used = { known: { targets: 0, bytes: 0 }, member: { targets: 0, bytes: 0 }, other: { targets: 0, bytes: 0 } }

  has(to: Target): boolean {
    return this.#queues.has(to)
  }

  /** Behind what waits, or in the place of what has its slot: that is given up. @throws ERR_LIMIT */
  push(to: Target, item: OutgoingMessage, of: TargetClass): void {
    const queue = this.#queues.get(to) ?? { of, items: [], bytes: 0 }
    const at = item.slot === undefined ? -1 : queue.items.findIndex(({ slot }) => slot === item.slot)
    const old = queue.items[at]
    this.#admit(to, queue, cost(item) - (old ? cost(old) : 0), !old)
    this.#count(to, queue, cost(item) - (old ? cost(old) : 0))
    if (old) queue.items[at] = item
    else queue.items.push(item)
    old?.done.resolve(false)
  }

  /** What was taken and could not be written goes back to the front, unless there is no place any more or its slot was filled. */
  putBack(to: Target, item: OutgoingMessage, of: TargetClass): void {
    const queue = this.#queues.get(to) ?? { of, items: [], bytes: 0 }
    try {
      if (item.slot !== undefined && queue.items.some(({ slot }) => slot === item.slot)) return item.done.resolve(false)
      this.#admit(to, queue, cost(item), true)
    } catch {
      return item.done.resolve(false)
    }
    this.#count(to, queue, cost(item))
    queue.items.unshift(item)
  }

  shift(to: Target): OutgoingMessage | undefined {
    const queue = this.#queues.get(to)
    const item = queue?.items.shift()
    if (queue && item) this.#count(to, queue, -cost(item))
    return item
  }

  /** One more attempt failed: those that have had `max` are given up. */
  failed(to: Target, max: number): void {
    const queue = this.#queues.get(to)
    for (const item of queue?.items.splice(0) ?? []) {
      if (++item.tries < max) queue?.items.push(item)
      else {
        if (queue) queue.bytes -= cost(item)
        if (queue) this.#used[queue.of].bytes -= cost(item)
        item.done.resolve(false)
      }
    }
    if (queue) this.#count(to, queue, 0)
  }

  /** Gives everything up. */
  clear(): void {
    for (const { items } of this.#queues.values()) for (const { done } of items) done.resolve(false)
    this.#queues.clear()
    for (const used of Object.values(this.#used)) Object.assign(used, { targets: 0, bytes: 0 })
  }

  #admit(to: Target, queue: Queue, bytes: number, another: boolean): void {
    const used = this.#used[queue.of]
    const max = OUTBOX[queue.of]
    if (!this.#queues.has(to) && used.targets >= max.targets) throw limitError('message targets', used.targets + 1, max.targets)
    if (another && queue.items.length >= MAX_QUEUED_PER_TARGET) throw limitError('queued messages', queue.items.length + 1, MAX_QUEUED_PER_TARGET)
    if (queue.bytes + bytes > MAX_BYTES_PER_TARGET) throw limitError('bytes queued for one target', queue.bytes + bytes, MAX_BYTES_PER_TARGET)
    if (used.bytes + bytes > max.bytes) throw limitError('bytes of queued messages', used.bytes + bytes, max.bytes)
  }

  /** Keeps the sums; a queue without bytes is gone. */
  #count(to: Target, queue: Queue, bytes: number): void {
    const used = this.#used[queue.of]
    queue.bytes += bytes
    used.bytes += bytes
    if (queue.bytes > 0 && !this.#queues.has(to)) {
      this.#queues.set(to, queue)
      used.targets++
    } else if (queue.bytes === 0 && this.#queues.delete(to)) used.targets--
  }
}

function cost({ bytes }: OutgoingMessage): number {
  return bytes + OVERHEAD
}
