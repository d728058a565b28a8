// What waits has bounds by target and by class, and the sums are right whatever happens to it.
import { describe, expect, it } from 'vitest'
import { deferred } from '../base/operation.ts'
import type { AccountUri } from '../contracts/ids.ts'
import { MAX_BYTES_PER_TARGET, MAX_QUEUED_PER_TARGET, MessageOutbox, OUTBOX, type OutgoingMessage } from './message-outbox.ts'

const account = (n: number) => n.toString(16).padStart(40, '0') as AccountUri
const limit = expect.objectContaining({ code: 'ERR_LIMIT' })

function message(bytes = 10, slot?: string): OutgoingMessage & { now: boolean | undefined } {
  const item = { mime: 'text/plain', body: '', bytes, slot, done: deferred<boolean>(), tries: 0, now: undefined as boolean | undefined }
  void item.done.promise.then((sent) => { item.now = sent })
  return item
}

describe('the outbox', () => {
  it('gives back in order, a filled slot in the place of the old one, what is put back first', async () => {
    const outbox = new MessageOutbox()
    const [a, b, c, d] = [message(1, 'slot'), message(2), message(3, 'slot'), message(4)]
    for (const item of [a, b, c, d]) outbox.push(account(1), item, 'known')
    await Promise.resolve()
    expect([a.now, outbox.shift(account(1)), outbox.shift(account(1))]).toEqual([false, c, b])
    outbox.putBack(account(1), b, 'known')
    expect([outbox.shift(account(1)), outbox.shift(account(1)), outbox.shift(account(1)), outbox.has(account(1))]).toEqual([b, d, undefined, false])
  })

  it('what is put back gives way to what has filled its slot', async () => {
    const outbox = new MessageOutbox()
    const [old, fresh] = [message(1, 'slot'), message(1, 'slot')]
    outbox.push(account(1), old, 'known')
    outbox.shift(account(1))
    outbox.push(account(1), fresh, 'known')
    outbox.putBack(account(1), old, 'known')
    await Promise.resolve()
    expect([old.now, outbox.shift(account(1)), outbox.has(account(1))]).toEqual([false, fresh, false])
  })

  it('gives up what has failed as often as allowed', async () => {
    const outbox = new MessageOutbox()
    const [old, young] = [message(), message()]
    outbox.push(account(1), old, 'known')
    outbox.failed(account(1), 3)
    outbox.push(account(1), young, 'known')
    outbox.failed(account(1), 3)
    outbox.failed(account(1), 3)
    await Promise.resolve()
    expect([old.now, young.now]).toEqual([false, undefined])
    outbox.failed(account(1), 3)
    await Promise.resolve()
    expect([young.now, outbox.has(account(1))]).toEqual([false, false])
  })

  it(`holds ${MAX_QUEUED_PER_TARGET} messages and ${MAX_BYTES_PER_TARGET} bytes for one target`, () => {
    const outbox = new MessageOutbox()
    for (let n = 0; n < MAX_QUEUED_PER_TARGET; n++) outbox.push(account(1), message(), 'known')
    expect(() => outbox.push(account(1), message(), 'known')).toThrow(limit)
    const big = Math.floor(MAX_BYTES_PER_TARGET / 4)
    for (let n = 0; n < 3; n++) outbox.push(account(2), message(big), 'known')
    expect(() => outbox.push(account(2), message(big), 'known')).toThrow(limit)
  })

  it('members fill their own share and leave those of contacts and strangers alone', () => {
    const outbox = new MessageOutbox()
    for (let n = 0; n < OUTBOX.member.targets; n++) outbox.push(account(n), message(), 'member')
    expect(() => outbox.push(account(90_000), message(), 'member')).toThrow(limit)
    outbox.push(account(90_000), message(), 'known')
    outbox.push(account(90_001), message(), 'other')
    outbox.shift(account(0))
    outbox.push(account(90_002), message(), 'member')
  })

  it('strangers fill their own share and leave that of contacts alone; what goes makes room', () => {
    const outbox = new MessageOutbox()
    for (let n = 0; n < OUTBOX.other.targets; n++) outbox.push(account(n), message(), 'other')
    expect(() => outbox.push(account(5000), message(), 'other')).toThrow(limit)
    outbox.push(account(5000), message(), 'known')
    expect(outbox.shift(account(0))).toBeDefined()
    outbox.push(account(5001), message(), 'other')
    outbox.clear()
    const big = MAX_BYTES_PER_TARGET - 1000
    for (let n = 0; n < 2; n++) outbox.push(account(n), message(big), 'other')
    expect(() => outbox.push(account(3), message(big), 'other')).toThrow(limit)
    for (let n = 10; n < 26; n++) outbox.push(account(n), message(big), 'known')
    expect(() => outbox.push(account(30), message(big), 'known')).toThrow(limit)
    for (let n = 0; n < 2; n++) outbox.shift(account(n))
    for (let n = 0; n < 2; n++) outbox.push(account(n), message(big), 'other') // and the sums are back where they were
  })
})
