// Notices as a hostile member sends them. docs/protocol/04 §4.5.3, traps S7, S18.
import { createHash } from 'node:crypto'
import { expect, it, vi } from 'vitest'
import { alice, bob, carol, text, texts, World } from '../../test/world.ts'
import { ELSEWHERE_RATE, SERVED_SESSIONS } from '../defaults.ts'
import { ServeRate } from '../sync/serve-rate.ts'
import { MIME, printCommitNotice } from './small-payloads.ts'

it('SWM-S18 a member whose notices name the device of another one does not use up what that one serves us', async () => {
  const world = new World()
  const [a, b, c] = [await world.join(alice), await world.join(bob), await world.join(carol)]
  const id = await a.create({ mode: 2 })
  for (const who of [bob, carol]) {
    await a.invite(id, who.accountId)
    world.meet(alice, who)
  }
  await world.clock.advance(2_000)
  for (const who of [b, c]) for (const { conversation, from } of who.invitations()) await who.accept({ conversation, from })
  await world.clock.advance(20_000)
  expect(a.members(id).map(({ role }) => role)).toEqual(['admin', 'member', 'member'])
  const flood = async (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      await world.tell(alice, carol, MIME.commit, printCommitNotice({ conversation: id, commit: createHash('sha1').update(`${i}`).digest('hex') as never, device: bob.deviceId }))
      await world.clock.advance(50)
    }
  }
  const session = vi.spyOn(ServeRate.prototype, 'session')
  await flood(0, 3 * SERVED_SESSIONS)
  await b.append(id, text('honest'))
  await flood(3 * SERVED_SESSIONS, 3 * SERVED_SESSIONS + 20)
  expect(await texts(a, id)).toEqual(['honest'])
  const bobs = session.mock.contexts[0] // the first one whom she was sent to
  const servedByBob = session.mock.results.filter((_, i) => session.mock.contexts[i] === bobs)
  expect(servedByBob.every(({ value }) => value === true)).toBe(true)
  expect(servedByBob.length).toBeLessThan(ELSEWHERE_RATE.burst + (3 * SERVED_SESSIONS * 0.05 + 10) * ELSEWHERE_RATE.perSecond + 10)
  session.mockRestore()
  await a.stop()
})
