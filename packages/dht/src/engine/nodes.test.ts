// Which nodes are kept: those that answered, where they answered from; the others do not grow the table.
import { SeededRandom } from '@jamikit/core/testing'
import { toHex } from '@jamikit/core/codec'
import type { InfoHash } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { at, idOf, KEY, Probe } from '../../test/probe.ts'
import { HEARD_MS, MAX_NODES, NEWCOMERS } from '../defaults.ts'
import { encodeMessage } from '../wire/message.ts'
import { isGood, NodeTable } from './nodes.ts'

const random = new SeededRandom(4)
const anyId = () => toHex(random.bytes(20)) as InfoHash
const how = { client: false, tid: 1 }

describe('the table', () => {
  it('nodes that are only mentioned are in no bucket and in no answer, and at most MAX_NODES of them are kept', () => {
    const table = new NodeTable(4, idOf(1))
    const good = table.confirm(idOf(7), at('10.1.0.1'), 0, how)
    table.offer(good, 0)
    for (let i = 0; i < MAX_NODES + 500; i++) table.offer(table.mention(anyId(), at('10.0.0.1', 1 + i), 0, 1), 0)
    expect([table.size, table.goodCount(0), table.closestGood(good.idBytes, 8, 0)]).toEqual([MAX_NODES + 1, 1, [good]])
    expect(table.get(idOf(7))).toBe(good)
  })

  it('a wrong address that one lists does not hide a node that others list rightly, nor is everything tried for ever', () => {
    const table = new NodeTable(4, idOf(1))
    const heard: string[] = []
    const node = table.mention(idOf(9), at('10.6.6.6'), 0, 1)
    table.use(node, { nodeExpired: () => void heard.push('expired'), nodeRevived: () => void heard.push(`revived ${node.address.host}`) })
    table.expire(node, 5)
    expect([table.mention(idOf(9), at('10.9.0.1'), 6, 1), heard]).toEqual([node, ['expired', 'revived 10.9.0.1']])
    for (let i = 0; i < 100; i++) table.mention(idOf(9), at(`10.6.6.${i}`), 7, 1)
    expect(node.address.host).toBe('10.6.6.2')
    table.confirm(idOf(9), at('10.9.0.1'), 8, how)
    table.mention(idOf(9), at('10.6.6.6'), 9, 1)
    expect(node.address.host).toBe('10.9.0.1')
  })

  it('an address has one node: who answers from there now', () => {
    const table = new NodeTable(4, idOf(1))
    const before = table.confirm(idOf(7), at('10.1.0.1'), 0, how)
    for (let i = 0; i < 1000; i++) table.confirm(anyId(), at('10.1.0.1'), 1, how)
    expect([before.expired, table.hasGood(1)]).toEqual([true, false])
    const now = table.confirm(idOf(8), at('10.1.0.1'), 2, how)
    table.offer(now, 2)
    expect([table.goodCount(2), isGood(before, 2)]).toEqual([1, false])
  })

  it('who uses a node hears of its end and its return, and it is kept so long', () => {
    const table = new NodeTable(4, idOf(1))
    const heard: string[] = []
    const user = { nodeExpired: () => void heard.push('expired'), nodeRevived: () => void heard.push('revived') }
    const node = table.mention(idOf(9), at('10.1.0.1'), 0, 1)
    table.use(node, user)
    table.expire(node, 0)
    table.sweep(HEARD_MS + 1)
    expect(table.get(idOf(9))).toBe(node)
    table.confirm(idOf(9), at('10.1.0.2'), 5, how)
    expect([heard, node.address.host]).toEqual([['expired', 'revived'], '10.1.0.2'])
    table.unuse(node, user)
    table.expire(node, 10)
    table.sweep(HEARD_MS + 11)
    expect([heard.length, table.get(idOf(9))]).toEqual([2, undefined])
  })
})

describe('who comes from outside', () => {
  const ping = (p: Probe, id: InfoHash, host: string, port = 5000) => p.ask('ping', { id }, at(host, port))

  it('pings under made-up ids cost an answer each, few pings of ours, and no record; a newcomer beside them is met', () => {
    const p = new Probe()
    for (let i = 0; i < 1000; i++) ping(p, anyId(), '10.6.6.6', 1000 + i)
    expect(p.requests('ping').length).toBeLessThanOrEqual(NEWCOMERS.perSource)
    p.answering.set('10.9.0.1|5000', idOf(77))
    ping(p, idOf(77), '10.9.0.1')
    p.settle()
    expect(p.engine.nodeCount(p.now).ipv4).toBe(1)
  })

  it('from a hundred addresses they cost few pings, too, and newcomers from elsewhere are met within a second', () => {
    const p = new Probe()
    for (let i = 0; i < 100; i++) for (let k = 0; k < 60; k++) ping(p, anyId(), `10.6.6.${i}`, 1000 + k)
    expect(p.requests('ping').length).toBeLessThanOrEqual(NEWCOMERS.perNetwork)
    p.answering.set('10.9.0.1|5000', idOf(77))
    ping(p, idOf(77), '10.9.0.1')
    p.settle()
    expect(p.engine.nodeCount(p.now).ipv4).toBe(1)
  })

  const met = () => {
    const p = new Probe()
    p.answering.set('10.9.0.1|5000', idOf(77))
    ping(p, idOf(77), '10.9.0.1')
    p.settle()
    const where = () => p.ask('find', { target: idOf(77), token: p.token(at('10.9.9.9')) }, at('10.9.9.9')).answers.flatMap((m) => (m.kind === 'reply' ? (m.args.n4 ?? []).map((n) => n.address.host) : []))
    expect(where()).toEqual(['10.9.0.1'])
    return { p, where }
  }

  it('a ping with the id of a known node does not move it, and its replies still count', () => {
    const { p, where } = met()
    ping(p, idOf(77), '10.6.6.6')
    p.run(20_000)
    expect(where()).toEqual(['10.9.0.1'])
  })

  it('not even when the other address answers, while the node is still where it was', () => {
    const { p, where } = met()
    p.answering.set('10.6.6.6|5000', idOf(77))
    ping(p, idOf(77), '10.6.6.6')
    p.run(20_000)
    expect(where()).toEqual(['10.9.0.1'])
  })

  it('a node that has moved is found at its new address once it answers there and no longer at the old one', () => {
    const { p, where } = met()
    p.answering.delete('10.9.0.1|5000')
    p.answering.set('10.9.0.2|6000', idOf(77))
    ping(p, idOf(77), '10.9.0.2', 6000)
    p.settle()
    expect(where()).toEqual(['10.9.0.1'])
    p.run(12_000)
    expect(where()).toEqual(['10.9.0.2'])
  })

  it('replies that nobody asked for change nothing', () => {
    const { p, where } = met()
    for (const from of ['10.9.0.1', '10.6.6.6']) p.feed(encodeMessage({ kind: 'reply', tid: 9, network: 0, client: false, args: { id: idOf(66), sa: Uint8Array.of(6, 6, 6, 6), n4: [{ id: KEY, address: at('10.6.6.7') }] } }), at(from))
    expect([p.engine.nodeCount(p.now).ipv4, where(), p.engine.reportedAddress(4)]).toEqual([1, ['10.9.0.1'], Uint8Array.of(10, 0, 0, 1)])
  })
})
