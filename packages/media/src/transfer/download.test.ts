// The engine of a download in virtual time: a driver plays the devices and counts what is asked of them.
import type { DeviceId } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { FIND_FIRST_MS, HEDGE_MS, MAX_MISMATCHES, MAX_OPENING, MAX_SOURCES, RECEIVE_STALL_MS, RECEIVE_WINDOW_MS, SOURCE_RETRY_FIRST_MS, SOURCE_RETRY_MAX_MS } from '../defaults.ts'
import { Download, type DownloadEffect } from './download.ts'

const device = (n: number) => n.toString(16).padStart(64, '0') as DeviceId
const [sender, second, third] = [device(1), device(2), device(3)]

function start({ size = 1000, have = 0, sources = [sender] }: { size?: number; have?: number; sources?: DeviceId[] } = {}) {
  const download = new Download({ size, have, sender, nowMs: 0 })
  let nowMs = 0
  const effects: DownloadEffect[] = []
  const take = (list: DownloadEffect[]) => {
    effects.push(...list)
    return list
  }
  const did = {
    download, effects,
    get nowMs() {
      return nowMs
    },
    /** What was done since the last look, in short; without the looking for devices. */
    look: (finds = false) => effects.splice(0).filter(({ kind }) => finds || kind !== 'find').map((effect) => `${effect.kind}${'device' in effect ? ` ${Number.parseInt(effect.device, 16)}` : ''}${'start' in effect && effect.start > 0 ? ` @${effect.start}` : ''}${'code' in effect ? ` ${effect.code}` : ''}`),
    opened: (d: DeviceId) => take(download.opened(d, nowMs)),
    declined: (d: DeviceId) => take(download.refused(d, 'declined', nowMs)),
    away: (d: DeviceId) => take(download.refused(d, 'away', nowMs)),
    bytes: (d: DeviceId, n: number) => take(download.bytes(d, n, nowMs)),
    ended: (d: DeviceId) => take(download.ended(d, nowMs)),
    verified: (ok: boolean) => take(download.verified(ok, nowMs)),
    encouraged: (d?: DeviceId) => take(download.encouraged(d, nowMs)),
    found: (d: DeviceId) => take(download.found(d, nowMs)),
    searched: () => take(download.searched(nowMs)),
    pause: () => take(download.pause()),
    resume: () => take(download.resume(nowMs)),
    /** Lets time pass until `untilMs`, ticking when it is due. */
    pass(ms: number) {
      const untilMs = nowMs + ms
      for (let rounds = 0; ; rounds++) {
        const at = download.wakeAtMs
        if (at === undefined || at > untilMs) break
        expect(rounds).toBeLessThan(10_000) // a wake-up that changes nothing would go on for ever
        nowMs = Math.max(nowMs, at)
        take(download.tick(nowMs))
      }
      nowMs = untilMs
    },
  }
  take(download.tick(0))
  for (const source of sources) did.found(source)
  did.searched()
  did.look()
  return did
}

describe('whom a file is asked of', () => {
  it('SWM-28 the sender first, from the beginning; what is complete is verified, then done; the channel is let go', () => {
    const download = new Download({ size: 10, have: 0, sender, nowMs: 0 })
    expect(download.tick(0)).toEqual([{ kind: 'find' }])
    expect(download.found(sender, 0)).toEqual([{ kind: 'open', device: sender, start: 0 }])
    download.opened(sender, 1)
    expect(download.room(65_535)).toBe(10)
    expect(download.bytes(sender, 10, 2)).toEqual([{ kind: 'drop', device: sender }, { kind: 'verify' }])
    expect(download.verified(true, 3)).toEqual([{ kind: 'done' }])
    expect(download.wakeAtMs).toBeUndefined()
  })

  it('an empty file needs nobody', () => expect(new Download({ size: 0, have: 0, sender, nowMs: 0 }).tick(0)).toEqual([{ kind: 'verify' }]))

  it('one request a file: nobody else is asked while one gives; who opens late is dropped', () => {
    const d = start({ sources: [sender, second, third] })
    d.pass(HEDGE_MS)
    expect(d.look()).toEqual(['open 2'])
    d.opened(sender)
    expect(d.look()).toEqual(['drop 2'])
    d.opened(second)
    expect(d.look()).toEqual(['drop 2'])
    for (let i = 0; i < 20; i++) {
      d.bytes(sender, 1)
      d.encouraged(second)
      d.encouraged()
      d.pass(1000)
    }
    expect(d.look()).toEqual([])
  })

  it('a device that takes long to answer is joined by others, three at a time at most', () => {
    const d = start({ sources: [sender, second, third, device(4), device(5)] })
    d.pass(10 * HEDGE_MS)
    expect(d.look().filter((text) => text.startsWith('open'))).toEqual(['open 2', 'open 3'])
    expect(MAX_OPENING).toBe(3)
    d.away(sender)
    expect(d.look()).toEqual(['open 4'])
  })

  it('of two that refuse, each waits twice as long before it is asked again, up to a bound', () => {
    const d = start({ sources: [sender] })
    const waits: number[] = []
    for (let i = 0; i < 14; i++) {
      d.away(sender)
      d.look()
      const beforeMs = d.nowMs
      while (!d.look().includes('open 1') && d.nowMs - beforeMs <= SOURCE_RETRY_MAX_MS) d.pass(500)
      waits.push(d.nowMs - beforeMs)
    }
    expect(waits.slice(0, 3)).toEqual([SOURCE_RETRY_FIRST_MS, 2 * SOURCE_RETRY_FIRST_MS, 4 * SOURCE_RETRY_FIRST_MS])
    expect(Math.max(...waits)).toBe(SOURCE_RETRY_MAX_MS)
  })

  it('a source that appears is asked at once, whatever it did before; one that appears all the time is not asked more often than its first back-off', () => {
    const d = start()
    for (let i = 0; i < 6; i++) {
      d.away(sender)
      d.pass(60_000)
      d.encouraged(sender)
    }
    const asked = d.look().filter((text) => text === 'open 1').length
    expect(asked).toBeGreaterThanOrEqual(6)
    d.away(sender)
    let opens = 0
    for (let i = 0; i < 1000; i++) {
      d.encouraged(sender)
      for (const text of d.look()) if (text === 'open 1' && ++opens) d.away(sender)
      d.pass(10)
    }
    expect(opens).toBeLessThanOrEqual(10_000 / SOURCE_RETRY_FIRST_MS + 1)
  })

  it('devices are not looked for more often than the first back-off, however often somebody says that there is news', () => {
    const d = start()
    d.away(sender)
    d.look()
    let finds = 0
    for (let i = 0; i < 1000; i++) {
      d.encouraged()
      for (const text of d.look(true)) if (text === 'find' && ++finds) d.searched()
      d.pass(100)
    }
    expect(finds).toBeLessThanOrEqual(100_000 / FIND_FIRST_MS + 1)
  })

  it('a bound on devices holds, however many are found', () => {
    const d = start()
    d.away(sender)
    for (let i = 2; i < 2 * MAX_SOURCES; i++) d.found(device(i))
    let opens = 0
    for (let rounds = 0; rounds < 2 * MAX_SOURCES; rounds++) for (const effect of d.effects.splice(0)) if (effect.kind === 'open' && ++opens) d.away(effect.device)
    expect(opens).toBe(MAX_SOURCES - 1)
  })
})

describe('going on after a cut', () => {
  it('SWM-28 from the byte where it stopped, with the next source, at once', () => {
    const d = start({ sources: [sender, second] })
    d.opened(sender)
    d.bytes(sender, 500)
    d.ended(sender)
    expect(d.look()).toEqual(['open 2 @500'])
  })

  it('from what an earlier run left', () => {
    const download = new Download({ size: 1000, have: 300, sender, nowMs: 0 })
    download.tick(0)
    expect(download.found(sender, 0)).toEqual([{ kind: 'open', device: sender, start: 300 }])
  })

  it('with the same source after its first back-off, however often it was cut, as long as it gives something', () => {
    const d = start()
    for (let i = 0; i < 5; i++) {
      d.opened(sender)
      d.bytes(sender, 10)
      d.ended(sender)
      d.look()
      d.pass(SOURCE_RETRY_FIRST_MS)
      expect(d.look()).toEqual([`open 1 @${10 * (i + 1)}`])
    }
  })

  it('late bytes and ends of a source that was left count nothing', () => {
    const d = start({ sources: [sender, second] })
    d.opened(sender)
    d.bytes(sender, 500)
    d.ended(sender)
    d.bytes(sender, 100)
    d.ended(sender)
    expect(d.download.have).toBe(500)
    expect(d.look()).toEqual(['open 2 @500'])
  })

  it('a source that gives nothing for long is left for the next', () => {
    const d = start({ sources: [sender, second] })
    d.opened(sender)
    d.pass(RECEIVE_STALL_MS - 1)
    expect(d.look()).toEqual([])
    d.pass(1)
    expect(d.look()).toEqual(['drop 1', 'open 2'])
  })

  it('a source that trickles is left within two windows', () => {
    const d = start({ size: 1_000_000, sources: [sender, second] })
    d.opened(sender)
    for (let ms = 0; ms < 2 * RECEIVE_WINDOW_MS && d.download.phase === 'running'; ms += 5000) {
      d.bytes(sender, 1)
      d.pass(5000)
    }
    expect(d.look()).toEqual(['drop 1', `open 2 @${d.download.have}`])
  })

  it('paused: nobody is asked, nothing is dropped from disk; resumed: from where it stopped', () => {
    const d = start({ sources: [sender, second] })
    d.opened(sender)
    d.bytes(sender, 500)
    d.pause()
    expect(d.look()).toEqual(['drop 1'])
    d.encouraged(second)
    d.pass(3_600_000)
    expect(d.look()).toEqual([])
    d.resume()
    expect(d.look()).toEqual(['open 1 @500'])
  })
})

describe('beyond 4 GiB', () => {
  const size = 6 * 2 ** 30
  const have = 5 * 2 ** 30

  it('SWM-28 somebody else who can go on is preferred to a device that cannot read such a start', () => {
    const d = start({ size, have, sources: [sender, second] })
    d.declined(sender)
    expect(d.look()).toEqual([`open 2 @${have}`])
    d.opened(second)
    expect([d.download.have, d.look()]).toEqual([have, []])
  })

  it('SWM-28 when nobody can, all of it is asked for, and what was here is thrown away only when somebody gives it', () => {
    const d = start({ size, have })
    d.declined(sender)
    expect(d.look()).toEqual(['open 1'])
    expect(d.download.have).toBe(have)
    d.opened(sender)
    expect([d.download.have, d.look()]).toEqual([0, ['reset']])
  })
})

describe('bytes that are not the file', () => {
  it('SWM-28 a source that alone gave wrong bytes is not asked again; another one gives all of it', () => {
    const d = start({ sources: [sender, second] })
    d.opened(sender)
    d.bytes(sender, 1000)
    d.look()
    d.verified(false)
    expect(d.look()).toEqual(['reset', 'open 2'])
    d.opened(second)
    d.bytes(second, 1000)
    d.verified(true)
    expect(d.look().at(-1)).toBe('done')
  })

  it('SWM-28 when all gave wrong bytes it fails with ERR_FILE_HASH', () => {
    const d = start({ sources: [sender, second] })
    for (const source of [sender, second]) {
      d.opened(source)
      d.bytes(source, 1000)
      d.verified(false)
    }
    expect(d.look().at(-1)).toBe('failed ERR_FILE_HASH')
    expect([d.download.wakeAtMs, d.found(third)]).toEqual([undefined, []])
  })

  it('what was here before is not the fault of who gave the rest: it gives all of it', () => {
    const d = start({ have: 400 })
    d.opened(sender)
    d.bytes(sender, 600)
    d.verified(false)
    expect(d.look().slice(-2)).toEqual(['reset', 'open 1'])
    d.opened(sender)
    d.bytes(sender, 1000)
    d.verified(true)
    expect(d.look().at(-1)).toBe('done')
  })

  it('it ends, also when nobody is to blame alone', () => {
    const d = start({ sources: [sender, second] })
    let wholes = 0
    for (let steps = 0; steps < 1000 && d.download.phase !== 'over'; steps++) {
      const effect = d.effects.shift()
      if (!effect) d.pass(1000)
      else if (effect.kind === 'find') d.searched()
      else if (effect.kind === 'verify' && ++wholes) d.verified(false)
      else if (effect.kind === 'open') {
        d.opened(effect.device)
        d.bytes(effect.device, 500) // half of it from each
        if (d.download.phase === 'running') d.ended(effect.device)
      }
    }
    expect(wholes).toBeLessThanOrEqual(MAX_MISMATCHES)
    expect(d.look().at(-1)).toBe('failed ERR_FILE_HASH')
  })

  it('no more than the file has room, however much comes', () => {
    const d = start()
    d.opened(sender)
    d.bytes(sender, d.download.room(700))
    expect(d.download.room(700)).toBe(300)
  })
})

describe('a file that is gone', () => {
  it('the device that announced it refuses it three times, and nobody else is there', () => {
    const d = start()
    for (let i = 0; i < 3; i++) {
      d.declined(sender)
      d.pass(60_000)
    }
    expect(d.look().at(-1)).toBe('failed ERR_FILE_GONE')
  })

  it('not while somebody else has not been asked, and not because the sender is away', () => {
    const d = start({ sources: [sender, second] })
    for (let i = 0; i < 3; i++) {
      d.declined(sender)
      d.look()
      d.pass(1)
    }
    expect(d.download.phase).toBe('seeking')
    const away = start()
    for (let i = 0; i < 10; i++) {
      away.away(sender)
      away.pass(SOURCE_RETRY_MAX_MS)
    }
    expect(away.download.phase).toBe('seeking')
  })

  it('at once when its announcement is deleted, whatever is under way', () => {
    const d = start()
    d.opened(sender)
    expect(d.download.gone()).toEqual([{ kind: 'drop', device: sender }, { kind: 'failed', code: 'ERR_FILE_GONE' }])
  })
})
