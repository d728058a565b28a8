// Addresses of candidates: forms, and where a peer cannot send us.
import { toHex } from '@jamikit/core/codec'
import { describe, expect, it } from 'vitest'
import { addressBytes, mayConnectTo } from './address.ts'

const may = (host: string) => {
  const bytes = addressBytes(host)
  return bytes !== undefined && mayConnectTo(bytes)
}

describe('addresses', () => {
  it.each([
    ['1.2.3.4', '01020304'], ['::1', '00000000000000000000000000000001'], ['2001:db8::7', '20010db8000000000000000000000007'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'], ['1::', '00010000000000000000000000000000'], ['64:ff9b::1.2.3.4', '0064ff9b000000000000000001020304'],
  ])('reads %s', (host, bytes) => {
    expect(toHex(addressBytes(host) ?? new Uint8Array(0))).toBe(bytes)
  })

  it('ICE-24 takes an IPv4-mapped address for the IPv4 address it is', () => {
    expect([...(addressBytes('::ffff:10.1.2.3') ?? [])]).toEqual([10, 1, 2, 3])
    expect([...(addressBytes('::ffff:0a01:0203') ?? [])]).toEqual([10, 1, 2, 3])
  })

  it.each(['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', ':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '12345::', 'g::', '::1.2.3', '1.2.3.4::', 'localhost', ' 1.2.3.4', '1:2:3:4:5:6:7::8::'])('does not read %j', (host) => {
    expect(addressBytes(host)).toBeUndefined()
  })

  it.each(['127.0.0.1', '127.9.9.9', '0.0.0.0', '0.1.2.3', '224.0.0.1', '239.255.255.250', '255.255.255.255', '240.0.0.1', '169.254.169.254', '::', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::7f00:1', 'ff02::1', 'fe80::1', '0:0:0:0:0:0:0:1'])(
    'ICE-S8 never connects to %s for a peer', (host) => {
      expect(may(host)).toBe(false)
    })

  it.each(['10.0.0.1', '192.168.1.2', '8.8.8.8', 'fd00::1', '2001:db8::1'])('connects to %s', (host) => {
    expect(may(host)).toBe(true)
  })
})
