import { Tasks } from '@jamikit/core/base'
import type { DeviceId } from '@jamikit/core/contracts'
import { ManualClock } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { BULK_IDLE_MS, BULK_LINK_MS, BULK_RETRY_MS } from '../defaults.ts'
import { type BulkLink, BulkLinks } from './bulk-links.ts'

const never = new AbortController().signal
const device = 'd'.repeat(64) as DeviceId

interface TestLink extends BulkLink {
  isOpen: boolean
  channels: number
}

function setUp() {
  const clock = new ManualClock()
  const tasks = new Tasks(clock, () => {})
  const links: TestLink[] = []
  const make = (id: number, channels = 0): TestLink => {
    const link: TestLink = {
      id, peer: { deviceId: device }, isOpen: true, channels,
      async close() {
        link.isOpen = false
      },
    }
    links.push(link)
    return link
  }
  const dialled: number[] = []
  const state = { answer: async (beside: number): Promise<TestLink> => make(beside + 10, 1) }
  const bulk = new BulkLinks<TestLink>({
    clock, tasks,
    open: () => links.filter(({ isOpen }) => isOpen).sort((a, b) => a.id - b.id),
    dial: (_, { beside }) => {
      dialled.push(beside)
      return state.answer(beside)
    },
  })
  return { clock, tasks, make, dialled, state, bulk, link: (first: TestLink) => clock.run(bulk.link(first, {}, never)) }
}

it('one link beside the first, above it, shared by all that is bulk', async () => {
  const { make, dialled, link } = setUp()
  const first = make(5)
  const own = await link(first)
  expect(own.id).toBeGreaterThan(first.id)
  expect(await link(first)).toBe(own)
  expect(dialled).toEqual([5])
})

it('a link that messages may use is not taken; where another one would push one out, the least used has to do', async () => {
  const { make, dialled, link } = setUp()
  const first = make(5)
  const second = make(7, 3)
  expect([first, second]).not.toContain(await link(first))
  expect(dialled).toEqual([5])
  const { make: makes, dialled: none, link: full } = setUp()
  const lowest = makes(5)
  for (const [id, channels] of [[7, 3], [9, 1], [11, 2]] as const) makes(id, channels)
  expect([(await full(lowest)).id, none]).toEqual([9, []])
})

it('when none comes about the first has to do, at once when it fails and soon when it takes long; it is not tried again for a while', async () => {
  const { clock, make, dialled, link, state } = setUp()
  const first = make(5)
  state.answer = async () => {
    throw new Error('refused')
  }
  expect(await link(first)).toBe(first)
  expect([await link(first), dialled.length]).toEqual([first, 1])
  await clock.advance(BULK_RETRY_MS)
  state.answer = () => new Promise(() => {})
  const fromMs = clock.now()
  expect(await link(first)).toBe(first)
  expect([clock.now() - fromMs, dialled.length]).toEqual([BULK_LINK_MS, 2])
})

it('one that had no channel for a while is closed; one in use is not, nor one that has become the only one', async () => {
  const { clock, tasks, make, link } = setUp()
  const first = make(5)
  const own = await link(first)
  await clock.advance(10 * BULK_IDLE_MS)
  expect(own.isOpen).toBe(true)
  own.channels = 0
  await clock.advance(2 * BULK_IDLE_MS)
  expect([own.isOpen, clock.pending()]).toEqual([false, []])
  const again = await link(first)
  first.isOpen = false
  again.channels = 0
  await clock.advance(10 * BULK_IDLE_MS)
  expect(again.isOpen).toBe(true)
  await tasks.close()
  expect(clock.pending()).toEqual([])
})

it('whoever leaves is not kept waiting', async () => {
  const { clock, make, bulk, state } = setUp()
  state.answer = () => new Promise(() => {})
  const leaving = new AbortController()
  const waiting = bulk.link(make(5), {}, leaving.signal)
  leaving.abort()
  await expect(clock.run(waiting)).rejects.toMatchObject({ code: 'ERR_ABORTED' })
})
