// Stories 51 to 100: see two-accounts.test.ts.
import { beforeAll, describe, expect, it } from 'vitest'
import { forbidSockets, socketUse } from './no-sockets.ts'
import { story } from './story.ts'

describe('two accounts on the simulated network, the other half', () => {
  beforeAll(forbidSockets)

  for (let seed = 51; seed <= 100; seed++) it(`story ${seed}`, async () => void (await story(seed)))

  it('opens no socket', () => {
    expect(socketUse()).toEqual([])
  })
})
