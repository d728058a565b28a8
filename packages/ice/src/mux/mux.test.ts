// The multiplexer without a transport: two of them face to face, and one against scripted bytes. Virtual time.
import { encodeMsgpack, toHex, utf8 } from '@jamikit/core/codec'
import type { JamiErrorCode } from '@jamikit/core/contracts'
import { ManualClock } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { MAX_CHANNELS, MAX_PENDING_CHANNELS, MAX_STRANGE_OBJECTS } from '../defaults.ts'
import { decodeControl, encodeBeacon, encodeChannelRequest, encodeMessage, encodeVersion, MuxDecoder, STATE } from '../wire/mux-frame.ts'
import { type ChannelSink, Mux } from './mux.ts'

const CODE: JamiErrorCode = 'ERR_LINK_LOST'

class Sink implements ChannelSink {
  got: string[] = []
  over: Error | undefined | 'open' = 'open'
  pumps = 0
  pending = false
  onPump: () => void = () => {}
  data(bytes: Uint8Array): void {
    this.got.push(toHex(bytes))
  }
  ended(error: Error | undefined): void {
    this.over = error
  }
  pump(): void {
    this.pumps++
    this.onPump()
  }
}

function one(options: { client?: boolean } = {}) {
  const clock = new ManualClock()
  const sent: Uint8Array[] = []
  const asked: [string, number][] = []
  const fatal: string[] = []
  const state = { room: true }
  const mux = new Mux(clock, options.client ?? true, {
    send: (bytes) => {
      sent.push(bytes)
      return state.room
    },
    onRequest: (name, id) => asked.push([name, id]),
    onFatal: (error) => {
      fatal.push(error.code)
      mux.close(error)
    },
  })
  /** What was sent since the last call, as text. */
  const out = () => {
    const decoder = new MuxDecoder()
    return sent.splice(0).flatMap((bytes) => decoder.push(bytes)).map((item) => {
      if (item === 'strange') return item
      if (item.channel !== 0 && item.channel !== 0xffff) return `${item.channel}:${toHex(item.data)}`
      const [o] = decodeControl(item.data)
      if (!o) return 'unreadable'
      return o.kind === 'version' ? `v${o.version}` : o.kind === 'beacon' ? (o.ping ? 'ping' : 'pong') : `${['request', 'accept', 'decline'][o.state]} ${o.name} ${o.channel}`
    })
  }
  const request = (name: string, id: number) => mux.receive(encodeChannelRequest(name, id, STATE.request))
  return { clock, mux, sent, asked, fatal, state, out, request }
}

describe('multiplexer', () => {
  it('ICE-35 sends its version first, and takes requests before it knows the version of the peer', () => {
    const t = one()
    t.mux.start()
    expect(t.out()).toEqual(['v1'])
    t.request('sip', 0x8000)
    expect(t.asked).toEqual([['sip', 0x8000]])
  })

  it.each([[true, [1, 2, 3]], [false, [0x8000, 0x8001, 0x8002]]] as const)('ICE-36 the TLS client (%s) counts ids from its own base', (client, ids) => {
    const t = one({ client })
    for (const name of ['a', 'b', 'c']) t.mux.open(name, new Sink()).catch(() => {})
    expect(t.out()).toEqual(ids.map((id, i) => `request ${'abc'[i]} ${id}`))
  })

  it('ICE-36 ids wrap, skip what is in use, and survive more than 65,535 openings', async () => {
    const t = one()
    const kept = new Sink()
    void t.mux.open('kept', kept)
    t.mux.receive(encodeChannelRequest('kept', 1, STATE.accept))
    t.out()
    const ids = new Set<number>()
    for (let i = 0; i < 70_000; i++) {
      const sink = new Sink()
      const opening = t.mux.open('x', sink)
      const [item] = new MuxDecoder().push(t.sent.pop() ?? new Uint8Array(0))
      if (!item || item === 'strange') throw new Error('nothing sent')
      const [asked] = decodeControl(item.data)
      if (asked?.kind !== 'channel') throw new Error('no request')
      if ([0, 1, 0xffff].includes(asked.channel)) throw new Error(`id ${asked.channel} was used`)
      ids.add(asked.channel)
      t.mux.receive(encodeChannelRequest('x', asked.channel, STATE.decline))
      if (await opening) throw new Error('declined and open')
    }
    expect(ids.size).toBe(65_533)
    expect(kept.over).toBe('open')
  }, 20_000)

  it('an accepted channel carries data both ways; a declined one does not exist', async () => {
    const t = one()
    const [yes, no] = [new Sink(), new Sink()]
    const opening = [t.mux.open('yes', yes), t.mux.open('no', no)]
    t.mux.receive(encodeChannelRequest('yes', 1, STATE.accept))
    t.mux.receive(encodeChannelRequest('no', 2, STATE.decline))
    expect(await Promise.all(opening)).toEqual([true, false])
    t.out()
    t.mux.write(yes, t.mux.encode(yes, utf8('hi')))
    t.mux.write(no, t.mux.encode(no, utf8('hi')))
    expect(t.out()).toEqual(['1:6869'])
    t.mux.receive(encodeMessage(1, utf8('yo')))
    t.mux.receive(encodeMessage(2, utf8('yo')))
    expect([yes.got, no.got]).toEqual([['796f'], []])
  })

  it('ICE-42 one channel declined or ended leaves the others alone', async () => {
    const t = one()
    const [a, b] = [new Sink(), new Sink()]
    void t.mux.open('a', a)
    void t.mux.open('b', b)
    const c = t.mux.open('c', new Sink())
    t.mux.receive(encodeChannelRequest('a', 1, STATE.accept))
    t.mux.receive(encodeChannelRequest('b', 2, STATE.accept))
    t.mux.receive(encodeChannelRequest('c', 3, STATE.decline))
    t.mux.receive(encodeMessage(1, new Uint8Array(0)))
    t.mux.receive(encodeMessage(2, utf8('x')))
    expect([await c, a.over, b.over, b.got, t.fatal]).toEqual([false, undefined, 'open', ['78'], []])
  })

  it('ICE-38 an empty message is the end, in both directions; data afterwards is dropped', () => {
    const t = one()
    const sink = new Sink()
    t.request('x', 0x8000)
    t.mux.answer(0x8000, sink)
    t.out()
    t.mux.receive(encodeMessage(0x8000, new Uint8Array(0)))
    t.mux.receive(encodeMessage(0x8000, utf8('late')))
    t.mux.write(sink, t.mux.encode(sink, utf8('late')))
    expect([sink.over, sink.got, t.out()]).toEqual([undefined, [], []])
  })

  it('ICE-38 never writes an empty message but to end a channel', () => {
    const t = one()
    const sink = new Sink()
    t.request('x', 0x8000)
    t.mux.answer(0x8000, sink)
    t.out()
    t.mux.write(sink, t.mux.encode(sink, new Uint8Array(0)))
    expect(t.out()).toEqual([])
    t.mux.end(sink)
    t.mux.end(sink)
    expect(t.out()).toEqual(['32768:'])
  })

  it('ICE-40 declines reserved ids and ids in use, by either side, without asking the application', () => {
    const t = one()
    void t.mux.open('ours', new Sink())
    t.request('x', 0x8000)
    t.out()
    for (const id of [0, 0xffff, 1, 0x8000]) t.request('y', id)
    expect(t.out()).toEqual(['decline y 0', 'decline y 65535', 'decline y 1', 'decline y 32768'])
    expect(t.asked).toEqual([['x', 0x8000]])
  })

  it('ICE-40 an id that waits for our answer is in use: a second request with it is declined, and the first one is answered as itself', () => {
    const t = one()
    t.request('first', 500)
    t.request('second', 500)
    expect([t.asked, t.out()]).toEqual([[['first', 500]], ['decline second 500']])
    const sink = new Sink()
    t.mux.answer(500, sink)
    expect(t.out()).toEqual(['accept first 500'])
  })

  it('an id that the peer asks with is not taken for a channel of ours', () => {
    const t = one()
    t.request('theirs', 1)
    void t.mux.open('ours', new Sink())
    expect(t.out()).toEqual(['request ours 2'])
  })

  it('ICE-41 channels count from the request on: as many as the limit allows, however many are asked for before one is answered', () => {
    const t = one()
    for (let i = 1; i <= MAX_CHANNELS - 10; i++) {
      t.request('x', i)
      t.mux.answer(i, new Sink())
    }
    t.asked.length = 0
    t.out()
    for (let i = 0; i < 250; i++) t.request('y', 5000 + i)
    expect([t.asked.length, t.out().length]).toEqual([10, 240])
    for (const [, id] of t.asked) t.mux.answer(id, new Sink())
    expect(t.mux.channelCount).toBe(MAX_CHANNELS)
  })

  it('does not infer the opener from the id: random ids of the 2023 daemon are fine', () => {
    const t = one()
    t.request('a', 7)
    t.request('b', 54_321)
    t.mux.answer(7, new Sink())
    t.mux.answer(54_321, undefined)
    expect(t.out()).toEqual(['accept a 7', 'decline b 54321'])
  })

  it('ICE-39 answers pings at once, many at a time', () => {
    const t = one()
    for (let i = 0; i < 3; i++) t.mux.receive(encodeBeacon(true))
    expect(t.out()).toEqual(['pong', 'pong', 'pong'])
  })

  it('ICE-39 pings only a peer that told its version, and gives the link up without a pong in 3 s', async () => {
    const t = one()
    t.mux.ping()
    expect(t.out()).toEqual([])
    t.mux.receive(encodeVersion(1))
    t.mux.ping()
    expect(t.out()).toEqual(['ping'])
    t.mux.receive(encodeBeacon(false))
    await t.clock.advance(5000)
    expect(t.fatal).toEqual([])
    t.mux.ping()
    await t.clock.advance(2999)
    expect(t.fatal).toEqual([])
    await t.clock.advance(1)
    expect(t.fatal).toEqual([CODE])
  })

  it('each of several pings has its own 3 s', async () => {
    const t = one()
    t.mux.receive(encodeVersion(1))
    t.mux.ping()
    await t.clock.advance(2900)
    t.mux.ping()
    t.mux.receive(encodeBeacon(false))
    await t.clock.advance(2900)
    expect(t.fatal).toEqual([])
    await t.clock.advance(100)
    expect(t.fatal).toEqual([CODE])
  })

  it('version and beacon are understood on channel 0, too', () => {
    const t = one()
    t.mux.receive(encodeMessage(0, encodeMsgpack({ v: 1 })))
    t.mux.receive(encodeMessage(0, encodeMsgpack({ p: true })))
    expect(t.out()).toEqual(['pong'])
  })

  it('ICE-41 bounds channels that wait for an answer and open ones; more are declined', () => {
    const t = one()
    for (let i = 1; i <= MAX_PENDING_CHANNELS + 1; i++) t.request('x', i)
    expect(t.asked.length).toBe(MAX_PENDING_CHANNELS)
    expect(t.out()).toEqual([`decline x ${MAX_PENDING_CHANNELS + 1}`])
    const u = one()
    for (let i = 1; i <= MAX_CHANNELS; i++) {
      u.request('x', i)
      u.mux.answer(i, new Sink())
    }
    u.out()
    u.request('x', MAX_CHANNELS + 1)
    expect([u.mux.channelCount, u.out()]).toEqual([MAX_CHANNELS, [`decline x ${MAX_CHANNELS + 1}`]])
  })

  it('bounds our own openings', async () => {
    const t = one()
    for (let i = 0; i < MAX_CHANNELS; i++) t.mux.open('x', new Sink()).catch(() => {})
    await expect(t.mux.open('x', new Sink())).rejects.toMatchObject({ code: 'ERR_LIMIT' })
  })

  it('ICE-S12 declines a name that is too long', () => {
    const t = one()
    t.request('n'.repeat(4097), 9)
    expect([t.asked, t.out().length]).toEqual([[], 1])
    t.request('n'.repeat(4096), 10)
    expect(t.asked.length).toBe(1)
  })

  it.each([
    ['broken msgpack', Uint8Array.of(0xc1), 'ERR_CODEC'],
    ['a declared payload of 4 GiB', Uint8Array.of(0x92, 1, 0xc6, 0xff, 0xff, 0xff, 0xff), 'ERR_LIMIT'],
  ])('ICE-S5 %s ends the link', (_, bytes, code) => {
    const t = one()
    t.mux.receive(bytes)
    expect(t.fatal).toEqual([code])
  })

  it('objects of another shape are skipped, but not for ever', () => {
    const t = one()
    for (let i = 0; i < MAX_STRANGE_OBJECTS; i++) t.mux.receive(encodeMsgpack({ hello: i }))
    expect(t.fatal).toEqual([])
    t.mux.receive(encodeMsgpack({ hello: 1 }))
    expect(t.fatal).toEqual(['ERR_LIMIT'])
  })

  it('unreadable control payloads, unknown maps, answers to nothing and data for nobody change nothing', () => {
    const t = one()
    t.mux.receive(encodeMessage(0, Uint8Array.of(0xc1, 0xc1)))
    t.mux.receive(encodeMessage(0xffff, encodeMsgpack({ z: 1 })))
    t.mux.receive(encodeChannelRequest('x', 5, STATE.decline))
    t.mux.receive(encodeMessage(77, utf8('data')))
    expect([t.fatal, t.out()]).toEqual([[], []])
  })

  it('an ACCEPT that nobody waits for any more is answered with the end of that channel', async () => {
    const t = one()
    const sink = new Sink()
    const opening = t.mux.open('slow', sink)
    t.mux.abandon(sink)
    expect(await opening).toBe(false)
    t.out()
    t.mux.receive(encodeChannelRequest('slow', 1, STATE.accept))
    expect(t.out()).toEqual(['1:'])
  })

  it('a DECLINE of an open channel ends it', () => {
    const t = one()
    const sink = new Sink()
    t.request('x', 0x8000)
    t.mux.answer(0x8000, sink)
    t.mux.receive(encodeChannelRequest('x', 0x8000, STATE.decline))
    expect(sink.over).toBeUndefined()
  })

  it('ICE-43 waiting channels send in turn, one message each', () => {
    const t = one()
    const sinks = [new Sink(), new Sink(), new Sink()]
    sinks.forEach((sink, i) => {
      t.request('x', 10 + i)
      t.mux.answer(10 + i, sink)
    })
    t.out()
    t.state.room = false
    t.mux.write(sinks[0] as Sink, t.mux.encode(sinks[0] as Sink, utf8('full')))
    const left = [3, 1, 2]
    sinks.forEach((sink, i) => {
      expect(t.mux.mayWrite(sink)).toBe(false)
      sink.onPump = () => {
        left[i] = (left[i] ?? 0) - 1
        t.mux.write(sink, t.mux.encode(sink, Uint8Array.of(i)))
        sink.pending = (left[i] ?? 0) > 0
      }
    })
    t.out()
    t.state.room = true
    t.mux.drained()
    expect(t.out()).toEqual(['10:00', '11:01', '12:02', '10:00', '12:02', '10:00'])
  })

  it('the end of the link ends channels and openings with its reason, and everything after is nothing', async () => {
    const t = one()
    const sink = new Sink()
    t.request('x', 0x8000)
    t.mux.answer(0x8000, sink)
    const opening = t.mux.open('y', new Sink())
    const failed = expect(opening).rejects.toMatchObject({ code: CODE })
    t.out()
    t.mux.close(new Error('gone'))
    await failed
    expect(sink.over).toMatchObject({ code: CODE })
    t.mux.receive(encodeBeacon(true))
    t.mux.write(sink, t.mux.encode(sink, utf8('x')))
    t.mux.end(sink)
    t.mux.answer(0x8000, new Sink())
    expect([t.out(), t.clock.pending()]).toEqual([[], []])
    await expect(t.mux.open('z', new Sink())).rejects.toMatchObject({ code: CODE })
  })

  it('every control object in every state of a channel leaves the multiplexer working', () => {
    const states: [string, (t: ReturnType<typeof one>) => number][] = [
      ['unknown', () => 500],
      ['reserved', () => 0],
      ['asked by us', (t) => (void t.mux.open('x', new Sink()).catch(() => {}), 1)],
      ['asked by the peer', (t) => (t.request('x', 500), 500)],
      ['open', (t) => (t.request('x', 500), t.mux.answer(500, new Sink()), 500)],
      ['ended', (t) => (t.request('x', 500), t.mux.answer(500, new Sink()), t.mux.receive(encodeMessage(500, new Uint8Array(0))), 500)],
    ]
    const events: ((id: number) => Uint8Array)[] = [
      (id) => encodeChannelRequest('x', id, STATE.request), (id) => encodeChannelRequest('x', id, STATE.accept), (id) => encodeChannelRequest('x', id, STATE.decline),
      (id) => encodeChannelRequest('x', id, 9), (id) => encodeMessage(id, utf8('d')), (id) => encodeMessage(id, new Uint8Array(0)),
    ]
    for (const [, make] of states) for (const event of events) for (const then of events) {
      const t = one()
      const id = make(t)
      t.mux.receive(event(id))
      t.mux.receive(then(id))
      t.out()
      t.mux.receive(encodeBeacon(true))
      expect([t.fatal, t.out()]).toEqual([[], ['pong']])
    }
  })
})
