// A burst, then a rate; a clock that goes back gives nothing.
import { expect, it } from 'vitest'
import { TokenBucket } from './token-bucket.ts'

it('gives the burst at once, then on credit at its rate', () => {
  const bucket = new TokenBucket({ burst: 3, perSecond: 10 }, 0)
  expect([bucket.take(0), bucket.take(0), bucket.take(0), bucket.take(0), bucket.take(0)]).toEqual([0, 0, 0, 100, 200])
  expect([bucket.take(200), bucket.take(1000)]).toEqual([100, 0])
})

it('never holds more than the burst, and refuses what is not there', () => {
  const bucket = new TokenBucket({ burst: 2, perSecond: 1 }, 0)
  expect([1e9, 1e9, 1e9].map((at) => bucket.tryTake(at))).toEqual([true, true, false])
  expect([bucket.tryTake(5), bucket.tryTake(1e9 + 999), bucket.tryTake(1e9 + 1000)]).toEqual([false, false, true])
})
