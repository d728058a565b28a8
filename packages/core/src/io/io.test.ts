// The system's clock and random, by their contract suites.
import { describe, expect, it } from 'vitest'
import { clockSuite } from '../testing/suites/clock.ts'
import { randomSuite } from '../testing/suites/random.ts'
import { plainHost, socketAddress } from './addresses.ts'
import { nodeRandom } from './node-random.ts'
import { backgroundClock, systemClock } from './system-clock.ts'

describe('systemClock', () => {
  const advance = (ms: number) => {
    const until = performance.now() + ms
    return new Promise<void>((resolve) => {
      const look = () => (performance.now() >= until ? setImmediate(resolve) : setTimeout(look, 1))
      look()
    })
  }
  for (const { title, run } of clockSuite(() => ({ clock: systemClock(), advance }))) it(title, run)

  describe('in the background', () => {
    for (const { title, run } of clockSuite(() => ({ clock: backgroundClock(), advance }))) it(title, run)
  })

  it('tells the time of day', () => {
    expect(Math.abs(systemClock().wallTimeMs() - Date.now())).toBeLessThan(1000)
  })
})

describe('nodeRandom', () => {
  for (const { title, run } of randomSuite(nodeRandom)) it(title, run)
})

describe('addresses', () => {
  it.each([
    ['127.0.0.1', '127.0.0.1', 4],
    ['::ffff:10.0.0.1', '10.0.0.1', 4],
    ['::FFFF:10.0.0.1', '10.0.0.1', 4],
    ['fe80::1%eth0', 'fe80::1', 6],
    ['2001:db8::1', '2001:db8::1', 6],
    ['::ffff:0:1', '::ffff:0:1', 6],
  ])('%s is shown as %s', (from, to, family) => {
    expect(plainHost(from)).toBe(to)
    expect(socketAddress(from, 7)).toEqual({ host: to, port: 7, family })
  })
})
