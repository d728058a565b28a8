// Who may have a connection to the port of a negotiation, and for how long. Sockets of a simulated network, virtual time.
import type { StreamSocket } from '@jamikit/core/contracts'
import { afterEach, describe, expect, it } from 'vitest'
import { Lab } from '../../test/harness.ts'
import { MAX_INCOMING, MAX_UNVERIFIED } from '../defaults.ts'
import { encodeFrames } from '../wire/rfc4571.ts'
import { BINDING_REQUEST, encodeStun } from '../wire/stun.ts'
import { IceSession } from './ice-session.ts'

let lab = new Lab()
afterEach(async () => {
  expect(await lab.end()).toEqual([])
  lab = new Lab()
})

async function listening() {
  const session = new IceSession(lab.env('here'), true)
  const { candidates, ufrag, password } = await session.gather()
  const { host, port } = candidates.find((c) => c.tcpType === 'passive' && c.family === 4) ?? { host: '', port: 0 }
  const check = encodeFrames(encodeStun({ type: BINDING_REQUEST, transaction: new Uint8Array(12), username: `${ufrag}:x`, controlled: new Uint8Array(8) }, password))
  const sockets: StreamSocket[] = []
  const connect = async (from: string) => {
    const socket = await lab.drive(lab.network.host(from).connectStream({ host, port }))
    sockets.push(socket)
    return socket
  }
  const open = (from?: string) => {
    const address = from === undefined ? '' : `>${lab.network.host(from).ipv4}:`
    return lab.network.openSockets().filter((line) => line.startsWith('here: tcp 10.') && line.includes(address)).length
  }
  const end = async () => {
    await lab.drive(session.release())
    for (const socket of sockets) socket.abort()
    await lab.clock.advance(6000)
  }
  return { connect, open, check, end }
}

describe('connections to the port of a negotiation', () => {
  it('the oldest that has shown nothing gives way, of the source that has most: a flood takes no place from another address', async () => {
    const t = await listening()
    await t.connect('peer') // silent, and the oldest of all
    for (let i = 0; i < 3 * MAX_UNVERIFIED; i++) await t.connect('flood')
    await lab.clock.advance(100)
    expect([t.open('peer'), t.open('flood')]).toEqual([1, MAX_UNVERIFIED - 1])
    await t.end()
  })

  it('from many addresses the oldest of all goes', async () => {
    const t = await listening()
    for (let i = 0; i <= MAX_UNVERIFIED; i++) await t.connect(`host${i}`)
    await lab.clock.advance(100)
    expect([t.open('host0'), t.open('host1'), t.open()]).toEqual([0, 1, MAX_UNVERIFIED])
    await t.end()
  })

  it('one that has shown a check with the password stays, whatever comes after it', async () => {
    const t = await listening()
    const socket = await t.connect('peer')
    await lab.drive(socket.write(t.check))
    await lab.clock.advance(100)
    for (let i = 0; i < 2 * MAX_UNVERIFIED; i++) await t.connect(`host${i}`)
    await lab.clock.advance(100)
    expect([t.open('peer'), t.open()]).toEqual([1, MAX_UNVERIFIED + 1])
    await t.end()
  })

  it('also the peer has so many at most', async () => {
    const t = await listening()
    for (let i = 0; i < 3 * MAX_INCOMING; i++) {
      const socket = await t.connect('peer')
      await lab.drive(socket.write(t.check))
      await lab.clock.advance(50)
    }
    expect(t.open('peer')).toBe(MAX_INCOMING)
    await t.end()
  })
})
