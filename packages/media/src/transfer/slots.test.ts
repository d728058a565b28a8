import { expect, it } from 'vitest'
import { Slots } from './slots.ts'

const never = new AbortController().signal

it('so many in all and so many of one; whoever waits gets its turn in order, past those whose share is used up', async () => {
  const slots = new Slots(3, 2)
  const order: string[] = []
  const release: (() => void)[] = []
  const ask = (key: string, name: string) => slots.take(key, never).then((done) => {
    order.push(name)
    release.push(done)
  })
  for (const [key, name] of [['a', 'a1'], ['a', 'a2'], ['a', 'a3'], ['b', 'b1'], ['b', 'b2']] as const) void ask(key, name)
  await Promise.resolve()
  expect(order).toEqual(['a1', 'a2', 'b1'])
  release[0]?.()
  release[0]?.() // twice counts once
  await Promise.resolve()
  expect(order).toEqual(['a1', 'a2', 'b1', 'a3'])
  release[2]?.()
  await Promise.resolve()
  expect(order).toEqual(['a1', 'a2', 'b1', 'a3', 'b2'])
})

it('whoever leaves does not get a turn', async () => {
  const slots = new Slots(1, 1)
  const first = await slots.take('a', never)
  const leaving = new AbortController()
  const left = slots.take('b', leaving.signal)
  leaving.abort()
  await expect(left).rejects.toMatchObject({ code: 'ERR_ABORTED' })
  first()
  expect(slots.tryTake('c')).toBeDefined()
  await expect(slots.take('a', AbortSignal.abort())).rejects.toMatchObject({ code: 'ERR_ABORTED' })
})
