// A channel alone, without a link: what its reader costs the event loop.
import { Slices } from '@jamikit/core/base'
import { ManualClock, testIdentity, testPeer } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { READ_SLICE_BYTES } from '../defaults.ts'
import { MuxChannel } from './channel.ts'

it('work that a peer chooses the number of: a reader of small messages lets other work of the process have its turn', async () => {
  const mux = { end: () => {}, unsentBytes: 0 } as never
  const channel = new MuxChannel(mux, 'msg:x', testPeer(testIdentity(0)), { kind: 'host', remote: '10.0.0.1:1' }, () => {}, new Slices(new ManualClock(), READ_SLICE_BYTES))
  let turns = 0
  let over = false
  const other = () => {
    turns++
    if (!over) setImmediate(other)
  }
  setImmediate(other)
  for (let i = 0; i < 20_000; i++) channel.data(Uint8Array.of(i))
  channel.ended(undefined)
  let got = 0
  for await (const bytes of channel) got += bytes.length
  over = true
  expect(got).toBe(20_000)
  expect(turns).toBeGreaterThanOrEqual(15)
})
