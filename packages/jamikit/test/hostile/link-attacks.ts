// What a contact can do on its links, and with small messages, by name. Sizes by JAMIKIT_SIM.
import { concatBytes } from '@jamikit/core/codec'
import type { Channel, ConversationId, DhtPut } from '@jamikit/core/contracts'
import { accountUriOf, inboxKey, parseCertificate, peerKey, shortIdOf } from '@jamikit/core/identity'
import { spareKey } from '@jamikit/core/testing'
import { forge } from '../../../core/test/forge.ts'
import { encodeMessageFrame } from '../../../core/src/account/message-wire.ts'
import { encodeTrustRequest, TRUST_REQUEST_TYPE } from '../../../core/src/account/trust-request-wire.ts'
import { BINDING_REQUEST, encodeStun } from '../../../ice/src/wire/stun.ts'
import { encodeBeacon, encodeChannelRequest, encodeMessage, encodeVersion, STATE } from '../../../ice/src/wire/mux-frame.ts'
import { encodePeerRequest, USER_TYPE } from '../../../ice/src/wire/peer-request.ts'
import { MIME, printCommitNotice, printDisplayed, printInvitation } from '../../../swarm/src/conversation/small-payloads.ts'
import { FLUSH, pkt } from '../../../swarm/src/sync/pkt-line.ts'
import { encodePack } from '../../../swarm/test/packs.ts'
import { type Attack, FULL, wait } from './arena.ts'
import type { HostileContact } from './hostile-contact.ts'

type Contact = Attack<HostileContact>

/** Writes a piece again and again until so much was written, the link is over, or nothing moves for a while. */
async function pour(link: Awaited<ReturnType<HostileContact['bareLink']>>, piece: (i: number) => Uint8Array, times: number, patienceMs = 3000): Promise<string> {
  let over: string | undefined
  void link.over.then((how) => {
    over = how
  })
  for (let i = 0; i < times && over === undefined && !link.socket.destroyed; i++) {
    if (!link.socket.write(piece(i))) {
      const drained = await Promise.race([new Promise<true>((resolve) => link.socket.once('drain', () => resolve(true))), link.over, wait(patienceMs)])
      if (drained !== true) return over ?? `stuck at ${i}`
    }
  }
  await Promise.race([link.over, wait(1500)])
  return over ?? 'taken'
}

/** So many copies in one. */
const bulk = (make: (i: number) => Uint8Array, count: number): Uint8Array => concatBytes(...Array.from({ length: count }, (_, i) => make(i)))

const open = (h: HostileContact, name: string): Promise<Channel> => h.connections.openChannel(h.victimDevice, name, { timeoutMs: 5000 })

/** The first answer on a channel, or how it ended. */
async function answer(channel: Channel, limitMs = 3000): Promise<string> {
  const first = (async () => {
    for await (const bytes of channel) return Buffer.from(bytes).toString('latin1')
    return 'ended'
  })().catch((error: unknown) => `aborted ${String((error as { code?: string }).code)}`)
  return Promise.race([first, wait(limitMs).then(() => 'silence')])
}

export const linkAttacks: readonly Contact[] = [
  {
    name: 'a push of many commits', async run(h) {
      const story = await h.conversation()
      const known = new Set(story.objects.keys())
      for (let i = 0; i < (FULL ? 20_000 : 1500); i++) await story.tell({ author: h.identity, fields: { body: `m ${i}` }, timeS: Math.floor(Date.now() / 1000) })
      await h.feed(story, story.head, encodePack([...story.objects].filter(([oid]) => !known.has(oid)).map(([, object]) => object)), FULL ? 60_000 : 3000, 60_000)
      h.history = story
      return { commits: story.objects.size }
    },
  },
  {
    name: 'messages of a hundred thousand values', async run(h) {
      const { history: story } = h
      if (!story) return 'no history'
      const known = new Set(story.objects.keys())
      const values = Array.from({ length: 95_000 }, (_, i) => `,"${i.toString(36)}":""`).join('')
      const [before, count] = [story.head, FULL ? 100 : 12]
      for (let i = 0; i < count; i++) await story.tell({ author: h.identity, message: `{"type":"text/plain","body":"${i}"${values}}`, timeS: Math.floor(Date.now() / 1000) })
      const verdict = await h.feed(story, story.head, encodePack([...story.objects].filter(([oid]) => !known.has(oid)).map(([, object]) => object)), 500, 60_000)
      if (verdict !== 'taken') story.head = before
      return verdict
    },
  },
  {
    name: 'receipts for a long history', async run(h) {
      const { history } = h
      if (!history) return 'no history'
      const ids = [...history.objects].filter(([, { type }]) => type === 'commit').map(([oid]) => oid)
      const link = await h.bareLink()
      const frames = (from: number) => bulk((i) => encodeMessage(3, encodeMessageFrame(1n, { mime: MIME.displayed, body: printDisplayed(history.id as ConversationId, ids[(from + i) % ids.length] as never) })), 50)
      link.socket.write(concatBytes(encodeVersion(1), encodeChannelRequest(`msg:${h.victimDevice}`, 3, STATE.request)))
      await wait(500)
      const how = await pour(link, (i) => frames(i * 50), (FULL ? 20_000 : 6000) / 50)
      await wait(1000)
      link.socket.destroy()
      return how
    },
  },
  {
    name: 'wants again and again', async run(h) {
      const { history } = h
      if (!history) return 'no history'
      let bytes = 0
      let refused = 0
      const opened: Channel[] = []
      await Promise.all(Array.from({ length: 4 }, async () => {
        for (let i = 0; i < (FULL ? 200 : 30); i++) {
          const channel = await open(h, `git://${h.victimDevice}/${history.id}`).catch(() => undefined)
          if (!channel) {
            refused++
            continue
          }
          opened.push(channel)
          await channel.write(concatBytes(pkt(`git-upload-pack /${history.id}\0host=${h.victimDevice}\0`), pkt(`want ${history.head} side-band-64k\n`), FLUSH, pkt('done\n')))
          for await (const piece of channel) {
            bytes += piece.length
            if (Buffer.from(piece).toString('latin1').endsWith('0000') && piece.length !== 4 && piece.length < 60_000 && bytes > 1000) break
          }
          channel.abort()
        }
      }).map((work) => Promise.race([work.catch(() => {}), wait(6000)])))
      for (const channel of opened) channel.abort()
      return { bytes, refused }
    },
  },
  {
    name: 'a want that is never read', async run(h) {
      const { history } = h
      if (!history) return 'no history'
      const link = await h.bareLink()
      const request = concatBytes(pkt(`git-upload-pack /${history.id}\0host=${h.victimDevice}\0`), pkt(`want ${history.head} side-band-64k\n`), FLUSH, pkt('done\n'))
      link.socket.write(encodeVersion(1))
      for (let channel = 3; channel < 19; channel += 2) link.socket.write(encodeChannelRequest(`git://${h.victimDevice}/${history.id}`, channel, STATE.request))
      await wait(500)
      for (let channel = 3; channel < 19; channel += 2) link.socket.write(encodeMessage(channel, request))
      await wait(2500)
      link.socket.destroy()
      return undefined
    },
  },
  {
    name: 'asks whose answers are not read', async run(h) {
      const out: string[] = []
      for (const [what, make] of [
        ['channels', (i: number) => encodeChannelRequest(`git://${h.victimDevice}/${i.toString(16).padStart(40, '0')}`, 3 + ((2 * i) % 60_000), STATE.request)],
        ['pings', () => encodeBeacon(true)],
      ] as const) {
        const link = await h.bareLink()
        link.socket.write(encodeVersion(1))
        out.push(`${what}: ${await pour(link, (i) => bulk((j) => make(i * 200 + j), 200), (FULL ? 1_400_000 : 200_000) / 200)}`)
        link.socket.destroy()
      }
      return out
    },
  },
  {
    name: 'STUN requests on a link that is up', async run(h) {
      const link = await h.bareLink()
      link.socket.write(encodeVersion(1))
      const stun = encodeStun({ type: BINDING_REQUEST, transaction: new Uint8Array(12) })
      for (let i = 0; i < (FULL ? 600_000 : 100_000) && !link.connection.destroyed; i++) {
        link.connection.sendStun(stun)
        if (i % 16 === 15) await new Promise((resolve) => setImmediate(resolve))
      }
      await wait(500)
      link.socket.destroy()
    },
  },
  {
    name: 'messages of one byte on channels that nobody reads', async run(h) {
      const link = await h.bareLink()
      link.socket.write(encodeVersion(1))
      for (let channel = 3; channel < 35; channel += 2) link.socket.write(encodeChannelRequest('jamikit:blocked', channel, STATE.request))
      await wait(700)
      const piece = bulk((i) => encodeMessage(3 + 2 * (i % 16), Uint8Array.of(1)), 8000)
      const how = await pour(link, () => piece, (FULL ? 4_000_000 : 800_000) / 8000)
      link.socket.destroy()
      return how
    },
  },
  {
    name: 'a message channel fed byte by byte', async run(h) {
      const link = await h.bareLink()
      link.socket.write(concatBytes(encodeVersion(1), encodeChannelRequest(`msg:${h.victimDevice}`, 3, STATE.request)))
      await wait(500)
      const frame = encodeMessageFrame(1n, { mime: 'text/plain', body: 'x'.repeat(63_000) })
      const split = concatBytes(...Array.from(frame, (byte) => encodeMessage(3, Uint8Array.of(byte))))
      const how = await pour(link, () => split, FULL ? 50 : 8)
      link.socket.destroy()
      return how
    },
  },
  {
    name: 'packets of a git session byte by byte', async run(h) {
      const { history } = h
      if (!history) return 'no history'
      const link = await h.bareLink()
      link.socket.write(concatBytes(encodeVersion(1), encodeChannelRequest(`git://${h.victimDevice}/${history.id}`, 3, STATE.request)))
      await wait(500)
      const line = concatBytes(pkt(`git-upload-pack /${history.id}\0${'x'.repeat(60_000)}\0`))
      const how = await pour(link, () => concatBytes(...Array.from(line, (byte) => encodeMessage(3, Uint8Array.of(byte)))), FULL ? 50 : 8)
      link.socket.destroy()
      return how
    },
  },
  {
    name: '250 channels at once, of each kind', async run(h) {
      const link = await h.bareLink()
      link.socket.write(encodeVersion(1))
      for (let i = 0; i < 250; i++) link.socket.write(encodeChannelRequest(`msg:${h.victimDevice}`, 3 + 2 * i, STATE.request))
      for (let i = 250; i < 500; i++) link.socket.write(encodeChannelRequest('jamikit:blocked', 3 + 2 * i, STATE.request))
      await wait(1000)
      const counts = await h.arena.victim.ask('counts')
      link.socket.destroy()
      return counts
    },
  },
  {
    name: '300 times the same request under new ids', async run(h) {
      const victim = await h.env.certificates.get(h.victimDevice)
      const leaf = victim?.chain[0]
      if (!leaf) return 'no certificate'
      const data = encodeTrustRequest({ conversation: h.history?.id as ConversationId | undefined, payload: new Uint8Array(0), confirm: false, invitedMs: Date.now() })
      let answers = 0
      const stop = new AbortController()
      void (async () => {
        for await (const { value, expired } of h.dht.listen(inboxKey(h.identity.deviceShortId), { decryptWith: h.identity.privateKey, type: TRUST_REQUEST_TYPE, signal: stop.signal }))
          if (!expired && value.signer && shortIdOf(value.signer) === leaf.shortId) answers++
      })().catch(() => {})
      await wait(300)
      const before = answers
      await Promise.race([wait(5000), Promise.all(Array.from({ length: FULL ? 300 : 100 }, () =>
        h.dht.put(inboxKey(leaf.shortId as never), { data, type: TRUST_REQUEST_TYPE, sign: h.identity.privateKey, encryptTo: leaf.publicKey }).then(({ cancel }) => cancel(), () => {})))])
      await wait(1000)
      stop.abort()
      return { answers: answers - before }
    },
  },
  {
    name: 'push, archive and ls-remote', async run(h) {
      const { history } = h
      if (!history) return 'no history'
      const out: string[] = []
      for (const service of ['git-receive-pack', 'git-upload-archive', 'git-upload-pack']) {
        const channel = await open(h, `git://${h.victimDevice}/${history.id}`)
        await channel.write(pkt(`${service} /${history.id}\0host=x\0`))
        out.push(`${service}: ${(await answer(channel)).slice(0, 40)}`)
        await channel.write(FLUSH).catch(() => {})
        channel.abort()
      }
      return out
    },
  },
  {
    name: 'notices and invitations without an end', async run(h) {
      const link = await h.bareLink()
      link.socket.write(concatBytes(encodeVersion(1), encodeChannelRequest(`msg:${h.victimDevice}`, 3, STATE.request)))
      await wait(500)
      const id = (i: number) => (i * 7919 + 1).toString(16).padStart(40, 'a') as ConversationId
      const make = (i: number) => encodeMessage(3, encodeMessageFrame(1n, [
        { mime: MIME.invitation, body: printInvitation(id(i), 0, Date.now()) },
        { mime: MIME.commit, body: printCommitNotice({ conversation: id(i), commit: id(i) as never, device: h.identity.deviceId }) },
        { mime: MIME.invite, body: id(i) },
        { mime: MIME.typing, body: '<isComposing>' },
      ][i % 4] as { mime: string; body: string }))
      const how = await pour(link, (i) => bulk((j) => make(i * 50 + j), 50), (FULL ? 100_000 : 20_000) / 50)
      await wait(1000)
      link.socket.destroy()
      return { how, state: await h.arena.victim.ask('state') }
    },
  },
  {
    name: 'a leave that takes what it likes', async run(h) {
      const story = h.history ?? (await h.conversation())
      const before = await h.pull(story)
      const known = new Set(story.objects.keys())
      const head = await story.tell({
        author: h.identity, type: 'member', fields: { action: 'remove', uri: h.identity.accountId },
        edits: { [`invited/${'7'.repeat(40)}`]: 'x'.repeat(1_000_000), [`members/${h.arena.victimUri}.crt`]: undefined, [`admins/${h.identity.accountId}.crt`]: 'junk' }, timeS: Math.floor(Date.now() / 1000),
      })
      await h.feed(story, head, encodePack([...story.objects].filter(([oid]) => !known.has(oid)).map(([, object]) => object)), 1000)
      const taken = await h.pull(Object.assign(story, { head: before }))
      return { taken: taken === head }
    },
  },
  {
    name: 'a CA of path length 0 above an account that is a CA', async run(h) {
      const keys = Array.from({ length: 12 }, (_, i) => spareKey(i))
      const account = keys.find(({ publicKey }) => accountUriOf(publicKey) === h.identity.accountId)
      const root = keys.find(({ publicKey }) => accountUriOf(publicKey) !== h.identity.accountId)
      if (!account || !root) throw new Error('the key of the account is not in the pool')
      const out: Record<string, string> = {}
      for (const pathLength of [1, 0]) {
        const dates = { notBeforeMs: Date.now() - 86_400_000, notAfterMs: Date.now() + 86_400_000 }
        const chain = [
          forge({ ...dates, subject: h.identity.privateKey, signer: account, cn: 'Jami device', issuerCn: 'Jami' }),
          forge({ ...dates, subject: account, signer: root, cn: 'Jami', issuerCn: 'Jami CA', ca: true, keyUsage: 0x06 }),
          forge({ ...dates, subject: root, signer: root, cn: 'Jami CA', issuerCn: 'Jami CA', ca: true, keyUsage: 0x06, pathLength }),
        ].map(parseCertificate)
        const link = await h.bareLink({ ...h.identity, chain: chain as never }).catch((error: Error) => ({ error }))
        if ('error' in link) out[pathLength] = 'refused'
        else {
          out[pathLength] = await Promise.race([link.over.then(() => 'refused'), wait(1500).then(() => 'taken')])
          link.socket.destroy()
        }
      }
      if (out[1] !== 'taken' || out[0] !== 'refused') throw new Error(`by path length: ${JSON.stringify(out)}`)
      return out
    },
  },
  {
    name: 'one link after the other', async run(h) {
      const links = []
      for (let i = 0; i < 8; i++) links.push(await h.bareLink())
      await wait(500)
      for (const { socket } of links) socket.destroy()
      return { links: links.length }
    },
  },
  {
    name: 'requests to connect without an end', async run(h) {
      const victim = await h.env.certificates.get(h.victimDevice)
      const leaf = victim?.chain[0]
      if (!leaf) return 'no certificate'
      const put = (key: ReturnType<typeof peerKey>, value: DhtPut) => h.dht.put(key, value).then(({ cancel }) => cancel(), () => {})
      await Promise.race([wait(4000), Promise.all(Array.from({ length: FULL ? 2000 : 300 }, (_, i) => put(peerKey(h.victimDevice), {
        data: encodePeerRequest({ id: 1e6 + i, isAnswer: false, connType: '', iceMessage: `${i}\npassword${i}\nF 1 TCP 1 127.0.0.1 9 typ host tcptype active\n` }), userType: USER_TYPE, sign: h.identity.privateKey, encryptTo: leaf.publicKey,
      })))])
      return undefined
    },
  },
]

