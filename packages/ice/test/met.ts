// A manager that answers, a raw peer that has come to it, and a world for both that is new for each test. Tests only.
import type { Channel } from '@jamikit/core/contracts'
import { testIdentity } from '@jamikit/core/testing'
import { encodeChannelRequest, encodeMessage, MuxDecoder, type MuxMessage, STATE } from '../src/wire/mux-frame.ts'
import { Lab, type SideOptions } from './harness.ts'
import { RawPeer } from './raw-peer.ts'

export const [own, peer, other] = [testIdentity(0).device, testIdentity(1).device, testIdentity(2).device]

/** What the test at hand has; `endWorld` begins anew. */
export const world = { lab: new Lab(), raws: [] as RawPeer[] }

/** Ends everything; gives what is still open. */
export async function endWorld(): Promise<unknown[]> {
  const { lab, raws } = world
  await lab.drive(Promise.all(raws.map((raw) => raw.end())))
  const left = await lab.end()
  Object.assign(world, { lab: new Lab(), raws: [] })
  return left
}

export const settle = () => world.lab.clock.advance(500)

/** A manager that answers, and the peer connected to it up to ICE. `accepted` counts what reached its application. */
export async function met(options: SideOptions = {}) {
  const { lab, raws } = world
  const side = await lab.side(0, options)
  const accepted: string[] = []
  const channels: Channel[] = []
  let ups = 0
  side.manager.onLink(({ up }) => up && ups++)
  side.manager.handle('msg', { accept: (name) => (accepted.push(name), true), open: (channel) => channels.push(channel) })
  const raw = new RawPeer(lab, peer, await lab.dht())
  raws.push(raw)
  const connection = await lab.drive(raw.connect(own))
  return { ...side, raw, connection, accepted, channels, ups: () => ups }
}

/** The same up to the link; the peer's end is the bare TLS socket, `got` the messages that came on it. */
export async function linked(options: SideOptions = {}) {
  const t = await met(options)
  const { socket, over } = t.raw.secure(t.connection)
  const got: MuxMessage[] = []
  const decoder = new MuxDecoder()
  socket.on('data', (bytes: Buffer) => {
    for (const item of decoder.push(new Uint8Array(bytes))) if (item !== 'strange') got.push(item)
  })
  await settle()
  if (t.manager.links().length !== 1) throw new Error('no link')
  const open = async (name: string, id: number) => {
    socket.write(encodeChannelRequest(name, id, STATE.request))
    await settle()
  }
  return { ...t, socket, over, got, open }
}

/** Whether exactly this message came. */
export const sent = (got: readonly MuxMessage[], bytes: Uint8Array) => got.some((m) => Buffer.from(encodeMessage(m.channel, m.data)).equals(bytes))
