// Stories 1 to 50 of a hundred (the others: two-accounts-more.test.ts, so that both cores work), all without a single real socket.
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { beforeAll, describe, expect, it } from 'vitest'
import { forbidSockets, socketUse } from './no-sockets.ts'
import { story } from './story.ts'

/** A hundred stories fit into 20 s on two cores; this is one core's half, in processor time, which does not depend on neighbours. */
const BUDGET_MS = 20_000

describe('two accounts on the simulated network', () => {
  beforeAll(forbidSockets)

  it('cannot open a real socket', () => {
    expect(() => connect(9, '127.0.0.1')).toThrow('real socket')
    const socket = createSocket('udp4')
    expect(() => socket.bind(0)).toThrow('real socket')
    socket.close()
    expect(socketUse().slice(0, 2)).toEqual(['net.Socket.connect', 'dgram.Socket.bind'])
  })

  const started = process.cpuUsage()
  for (let seed = 1; seed <= 50; seed++) it(`story ${seed}`, async () => void (await story(seed)))

  it(`opens no socket and takes less than ${BUDGET_MS / 1000} s of processor time`, () => {
    expect(socketUse().slice(2)).toEqual([])
    const { user, system } = process.cpuUsage(started)
    expect((user + system) / 1000).toBeLessThan(BUDGET_MS)
  })

  it('the same seed tells the same story, to the last commit id', async () => {
    expect(await story(1)).toEqual(await story(1))
    expect(await story(1)).not.toEqual(await story(2))
  })
})
