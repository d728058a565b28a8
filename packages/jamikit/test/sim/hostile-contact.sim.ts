// hostile-contact: a contact that turned hostile plays everything it can against one node with a heap of 512 MB, in real time on real sockets.
// The node lives, its heap comes back, its event loop is never busy for more than 100 ms, the honest contact is served within a second
// throughout, and a restart afterwards takes as long as before.
import { expect, it } from 'vitest'
import { Arena, FULL } from '../hostile/arena.ts'
import { historyAttacks } from '../hostile/contact-attacks.ts'
import { HostileContact } from '../hostile/hostile-contact.ts'
import { linkAttacks } from '../hostile/link-attacks.ts'
import { plant, removedKeysLeft } from '../hostile/profile-attacks.ts'

it('hostile-contact: a node lives through everything that a contact can send', async () => {
  const arena = await Arena.open()
  const usual = await arena.restart()
  const hostile = await HostileContact.join(arena)
  try {
    await arena.begin()
    await arena.run(historyAttacks, hostile)
    await arena.run(linkAttacks, hostile)
    const removed = await removedKeysLeft(arena)
    let planted: Awaited<ReturnType<typeof plant>> | undefined
    const after = await arena.restart(async () => {
      planted = await plant(arena)
    })
    console.log(`${arena.table()}\nrestart: before ${JSON.stringify(usual)}, after ${JSON.stringify(after)}`)
    expect(removed).toEqual({ keys: 3, left: [], found: true })
    expect(await planted?.()).toMatchObject({ left: [], rights: 2 })
    expect(after.openMs).toBeLessThan(2 * usual.openMs + 1000)
    expect(arena.broken).toEqual([])
  } finally {
    await hostile.close()
    await arena.close()
  }
}, FULL ? 1_800_000 : 280_000)
