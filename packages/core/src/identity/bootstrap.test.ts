import { describe, expect, it } from 'vitest'
import { parseBootstrap } from './bootstrap.ts'

describe('bootstrap entries', () => {
  it.each<[string, string, number]>([
    ['hub:4222', 'hub', 4222],
    ['dht.example.org', 'dht.example.org', 4222],
    ['dht.example.org:1', 'dht.example.org', 1],
    ['192.0.2.7:65535', '192.0.2.7', 65_535],
    ['[2001:db8::1]:4223', '2001:db8::1', 4223],
    ['[::1]', '::1', 4222],
    [' hub:4222 ', 'hub', 4222],
    ['dht_1.exämple.org:5', 'dht_1.exämple.org', 5],
  ])('%s', (entry, host, port) => {
    expect(parseBootstrap([entry])).toMatchObject([{ host, port }])
  })

  it.each<[unknown]>([
    [''], [' '], ['host:99999'], ['host:0'], ['host:'], [':4222'], ['host:port'], ['host:4222:1'], ['http://host:4222'], ['https://host'], ['udp://host:4222'], ['host:4222/x'], ['user@host:1'],
    ['2001:db8::1'], ['2001:db8::1:4222'], ['[2001:db8::g]:1'], ['[fe80::1%eth0]:1'], ['[::1'], ['[host]:1'], ['300.1.1.1:4222'], ['a b:1'], ['a'.repeat(254)], ['x'.repeat(100_000)], [42], [null], [undefined], [{}], [['hub']],
  ])('%j is refused, and named', (entry) => {
    const shown = typeof entry === 'string' ? JSON.stringify(entry.slice(0, 100)) : entry === null ? 'null' : typeof entry
    expect(() => parseBootstrap(['hub:4222', entry as string])).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining(shown) as string, details: { field: 'bootstrap[1]', got: shown, allowed: expect.any(String) as string } }))
  })

  it.each<[unknown]>([[undefined], [null], ['hub:4222'], [{ 0: 'hub' }], [Array.from({ length: 257 }, (_, i) => `h${i}`)]])('a list that is none: %o', (list) => {
    expect(() => parseBootstrap(list as string[])).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', details: expect.objectContaining({ field: 'bootstrap' }) as object }))
  })

  it('entries that repeat are taken once; an empty list is one', () => {
    expect(parseBootstrap(['hub', 'hub:4222', ' hub'])).toHaveLength(1)
    expect(parseBootstrap([])).toEqual([])
  })
})
