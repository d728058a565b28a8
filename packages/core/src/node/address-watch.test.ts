// Changes of the machine's addresses: told within ten seconds, once each, until stopped.
import { expect, it } from 'vitest'
import type { Network } from '../contracts/socket.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { AddressWatch } from './address-watch.ts'

it('tells every change once, whatever the order of addresses, and nothing after stop()', async () => {
  const clock = new ManualClock()
  let hosts = ['10.0.0.1', 'fe80::1']
  let changes = 0
  const watch = new AddressWatch({ clock, network: { addresses: () => hosts.map((host) => ({ host, family: 4 })) } as unknown as Network }, () => changes++)
  await clock.advance(60_000)
  hosts = ['fe80::1', '10.0.0.1']
  await clock.advance(60_000)
  expect(changes).toBe(0)
  hosts = ['10.0.0.2']
  await clock.advance(10_000)
  expect(changes).toBe(1)
  hosts = []
  await clock.advance(60_000)
  expect(changes).toBe(2)
  hosts = ['10.0.0.1']
  watch.stop()
  await clock.advance(60_000)
  expect([changes, clock.pending()]).toEqual([2, []])
})
