// What a node takes along over a restart: who it is, whom it knew, what it keeps up. What is damaged is told and not used.
import { encodeMsgpack } from '@jamikit/core/codec'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { at, clear, idOf, KEY, Probe } from '../../test/probe.ts'
import { RESTORED_MS } from '../defaults.ts'
import { decodeState, encodeState, MAX_STATE_NODES, type NodeState } from './state.ts'

const STATE: NodeState = {
  id: idOf(5),
  nodes: [{ id: idOf(6), address: at('10.9.0.1', 4222) }, { id: idOf(7), address: at('fd00::7', 4223) }],
  values: [{ key: KEY, value: clear(9n, 'kept') }, { key: idOf(8), value: { ...clear(2n, ''), body: undefined, cypher: new Uint8Array(300).fill(3) }, leftMs: 1000 }],
}

describe('the form on disk', () => {
  it('comes back as it was, at most so many nodes', () => {
    expect(decodeState(encodeState(STATE))).toEqual(STATE)
    const many = Array.from({ length: 400 }, (_, i) => ({ id: idOf(i + 1), address: at('10.0.0.1', i + 1) }))
    expect(decodeState(encodeState({ ...STATE, nodes: many })).nodes.length).toBe(MAX_STATE_NODES)
  })

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)], ['no map', encodeMsgpack([1])], ['a later version', encodeMsgpack({ version: 2 })], ['an id of zeros', encodeState({ ...STATE, id: idOf(0) })],
    ['half of it', encodeState(STATE).subarray(0, 60)], ['nodes cut off', encodeMsgpack({ version: 1, id: new Uint8Array(20).fill(1), n4: new Uint8Array(25), n6: new Uint8Array(0), values: [] })],
  ])('%s is refused, and a node that is given it starts anew and says so', (_what, bytes) => {
    expect(() => decodeState(bytes)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^ERR_(CODEC|LIMIT)$/) }))
    const p = new Probe({ state: bytes })
    expect([p.problems, p.engine.nodeId, p.outcome('ping', {}, at('10.0.0.2'))]).toEqual([['ERR_STORAGE_CORRUPT'], idOf(1), 'ok'])
  })

  fuzz('any bytes are a state or a typed error', fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeState(bytes))
})

describe('a restored node', () => {
  const restored = (state: Uint8Array) => {
    const p = new Probe({ state })
    p.answering.set('10.9.0.1|4222', idOf(6))
    return p
  }

  it('has its id, finds back to a node that it knew without bootstrap, and puts its permanent values there', () => {
    const p = restored(encodeState(STATE))
    expect([p.engine.nodeId, p.problems]).toEqual([idOf(5), []])
    p.run(5000)
    expect(p.engine.status().ipv4).toBe('connected')
    expect(p.requests('put').map(({ m, to }) => [to.host, m.args.h, m.args.values?.[0]?.id])).toContainEqual(['10.9.0.1', KEY, 9n])
    expect(p.engine.ownValues(KEY).map((v) => v.id)).toEqual([9n])
  })

  it('gives out the same again, and what it has learnt since', () => {
    const p = restored(encodeState(STATE))
    p.run(5000)
    p.engine.storeOwn(idOf(9), clear(3n, 'new'), true, p.now)
    const again = decodeState(p.engine.exportState())
    expect([again.id, again.nodes.map((n) => n.id), again.values.map((v) => [v.value.id, v.leftMs !== undefined]).sort()]).toEqual([idOf(5), [idOf(6)], [[3n, false], [9n, true]].sort()])
  })

  it('keeps a value up that is put again, and no other one for ever', () => {
    const p = restored(encodeState(STATE))
    p.run(5000)
    p.engine.storeOwn(KEY, clear(9n, 'kept'), true, p.now)
    p.run(RESTORED_MS + 600_000)
    expect([p.engine.ownValues(KEY).map((v) => v.id), p.engine.ownValues(idOf(8))]).toEqual([[9n], []])
    const q = restored(encodeState(STATE))
    q.run(RESTORED_MS + 600_000)
    expect(q.engine.ownValues(KEY)).toEqual([])
  })

  it('a value that is taken back is gone', () => {
    const p = restored(encodeState(STATE))
    p.run(5000)
    p.engine.removeOwn(KEY, 9n)
    expect([p.engine.ownValues(KEY), decodeState(p.engine.exportState()).values.map((v) => v.value.id)]).toEqual([[], []])
  })
})
