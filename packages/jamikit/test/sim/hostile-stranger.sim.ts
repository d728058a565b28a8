// hostile-stranger: strangers with UDP sockets play everything they can against one node with a heap of 512 MB, in real time on real sockets.
// The node lives, its heap comes back, its event loop is never busy for more than 100 ms, the honest contact is served within a second
// throughout, and a restart afterwards takes as long as before.
import { expect, it } from 'vitest'
import { Arena, FULL } from '../hostile/arena.ts'
import { Stranger } from '../hostile/stranger.ts'
import { strangerAttacks } from '../hostile/stranger-attacks.ts'

it('hostile-stranger: a node lives through everything that strangers can send', async () => {
  const arena = await Arena.open()
  const usual = await arena.restart()
  const stranger = await Stranger.join(arena)
  try {
    await arena.begin()
    await arena.run(strangerAttacks, stranger)
    const after = await arena.restart()
    console.log(`${arena.table()}\nrestart: before ${JSON.stringify(usual)}, after ${JSON.stringify(after)}`)
    expect(after.openMs).toBeLessThan(2 * usual.openMs + 1000)
    expect(arena.broken).toEqual([])
  } finally {
    await stranger.close()
    await arena.close()
  }
}, FULL ? 1_800_000 : 280_000)
