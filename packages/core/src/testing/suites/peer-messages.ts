// Contract suite of PeerMessages: the engine over message channels, and the double in memory. docs/protocol/03 §7.
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { PeerMessage, PeerMessages } from '../../contracts/account.ts'
import type { AccountUri, DeviceId } from '../../contracts/ids.ts'
import { type ContractTest, rejectsWith, throwsWith, testsOf } from './contract-test.ts'

export interface MessengerUnderTest {
  readonly messages: PeerMessages
  readonly account: AccountUri
  readonly device: DeviceId
  stop(): Promise<void>
}

export interface MessagesUnderTest {
  /** `b` and `b2` are two devices of one account. All run; they may talk to each other, and `a` alone can be reached. */
  readonly a: MessengerUnderTest
  readonly b: MessengerUnderTest
  readonly b2: MessengerUnderTest
  /** The device can reach and be reached from now on; the others learn it, unless it comes quietly. */
  appear(who: MessengerUnderTest, options?: { quietly: boolean }): Promise<void>
  /** The device cannot be reached any more, and loses its channels. */
  vanish(who: MessengerUnderTest): Promise<void>
  /** Messages that may wait for one target. */
  readonly maxQueued: number
  /** Waits for `work`, letting time pass as it must. */
  drive<T>(work: Promise<T>): Promise<T>
  /** Lets everything that is on its way arrive. */
  settle(): Promise<void>
  dispose?(): Promise<void>
}

const MIME = 'text/plain'
const MAX_BODY_BYTES = 64_000
const text = (body: string, mime = MIME) => ({ mime, body })

/** What arrives at a messenger. */
function inbox(who: MessengerUnderTest, mime = MIME): PeerMessage[] {
  const got: PeerMessage[] = []
  who.messages.handle(mime, (message) => void got.push(message))
  return got
}

const bodies = (got: readonly PeerMessage[]) => got.map(({ body }) => body)

export function peerMessagesSuite(make: () => MessagesUnderTest | Promise<MessagesUnderTest>): ContractTest[] {
  const test = testsOf(make, (t) => t.drive(Promise.all([t.a, t.b, t.b2].map((who) => who.stop()))))
  /** Reports what a send became, as soon as it is known. */
  const fate = (sending: Promise<boolean>): { is: boolean | string } => {
    const seen: { is: boolean | string } = { is: 'open' }
    sending.then((written) => (seen.is = written), (error: unknown) => (seen.is = (error as { code?: string }).code ?? String(error)))
    return seen
  }

  return [
    test('a message to an account reaches its device, with its sender', async ({ a, b, appear, drive, settle }) => {
      const got = inbox(b)
      await appear(b)
      deepStrictEqual(await drive(a.messages.send(b.account, text('hello'))), true)
      await settle()
      deepStrictEqual(got.map(({ from, fromDevice, mime, body }) => [from, fromDevice, mime, body]), [[a.account, a.device, MIME, 'hello']])
    }),
    test('a message to a device reaches this device alone', async ({ a, b, b2, appear, drive, settle }) => {
      const [got, elsewhere] = [inbox(b), inbox(b2)]
      await appear(b)
      await appear(b2)
      deepStrictEqual(await drive(a.messages.send(b.device, text('hello'))), true)
      await settle()
      deepStrictEqual([bodies(got), bodies(elsewhere)], [['hello'], []])
    }),
    test('a message to an account reaches all its connected devices', async ({ a, b, b2, appear, drive, settle }) => {
      const [got, other] = [inbox(b), inbox(b2)]
      for (const who of [b, b2]) {
        await appear(who)
        await drive(a.messages.send(who.device, text('first')))
      }
      deepStrictEqual(await drive(a.messages.send(b.account, text('both'))), true)
      await settle()
      deepStrictEqual([bodies(got), bodies(other)], [['first', 'both'], ['first', 'both']])
    }),
    test('both sides may talk over one connection', async ({ a, b, appear, drive, settle }) => {
      const [there, here] = [inbox(b), inbox(a)]
      await appear(b)
      await drive(a.messages.send(b.account, text('ping')))
      deepStrictEqual(await drive(b.messages.send(a.device, text('pong'), { connectedOnly: true })), true)
      await settle()
      deepStrictEqual([bodies(there), bodies(here)], [['ping'], ['pong']])
    }),
    test('text arrives as it is: empty, in any script, with line breaks, 64,000 bytes', async ({ a, b, appear, drive, settle }) => {
      const got = inbox(b)
      await appear(b)
      const sent = ['', 'é\r\n\n"{\u0000}" 𝄞 漢', 'ü'.repeat(MAX_BODY_BYTES / 2)]
      for (const body of sent) deepStrictEqual(await drive(a.messages.send(b.account, text(body))), true)
      await settle()
      deepStrictEqual(bodies(got), sent)
    }),
    test('a lone surrogate in a text, which has no UTF-8 form, arrives as U+FFFD', async ({ a, b, appear, drive, settle }) => {
      const got = inbox(b)
      await appear(b)
      await drive(a.messages.send(b.account, text('a\ud83d, \ude00b, 😀')))
      await settle()
      deepStrictEqual(bodies(got), ['a\ufffd, \ufffdb, 😀'])
    }),
    test('more than 64,000 bytes are ERR_LIMIT, whether or not the peer is there', async ({ a, b, appear, drive, settle }) => {
      const got = inbox(b)
      const tooMuch = [text('x'.repeat(MAX_BODY_BYTES + 1)), text('ü'.repeat(MAX_BODY_BYTES / 2 + 1))]
      for (const message of tooMuch) await rejectsWith('ERR_LIMIT', drive(a.messages.send(b.account, message)))
      await appear(b)
      for (const message of tooMuch) await rejectsWith('ERR_LIMIT', drive(a.messages.send(b.account, message)))
      await settle()
      deepStrictEqual(got, [])
    }),
    test('messages arrive in the order in which they were sent', async ({ a, b, appear, drive, settle }) => {
      const got = inbox(b)
      const numbers = Array.from({ length: 20 }, (_, i) => String(i))
      const early = numbers.slice(0, 10).map((n) => a.messages.send(b.account, text(n)))
      await appear(b)
      await drive(Promise.all(early))
      await drive(Promise.all(numbers.slice(10).map((n) => a.messages.send(b.account, text(n)))))
      await settle()
      deepStrictEqual(bodies(got), numbers)
    }),
    test('a message for an absent account waits, and goes out when a device of it appears', async ({ a, b, appear, settle }) => {
      const got = inbox(b)
      const waiting = fate(a.messages.send(b.account, text('x')))
      await settle()
      deepStrictEqual([waiting.is, got], ['open', []])
      await appear(b)
      await settle()
      deepStrictEqual([waiting.is, bodies(got)], [true, ['x']])
    }),
    test('a message for an absent device waits for this device', async ({ a, b, b2, appear, settle }) => {
      const got = inbox(b)
      const waiting = fate(a.messages.send(b.device, text('x')))
      await appear(b2)
      await settle()
      deepStrictEqual([waiting.is, got], ['open', []])
      await appear(b)
      await settle()
      deepStrictEqual([waiting.is, bodies(got)], [true, ['x']])
    }),
    test('what waits goes out over a channel that the other side opens', async ({ a, b, appear, drive, settle }) => {
      const got = inbox(b)
      const waiting = [a.messages.send(b.account, text('account')), a.messages.send(b.device, text('device'))].map(fate)
      await settle()
      await appear(b, { quietly: true })
      await settle()
      deepStrictEqual(waiting.map(({ is }) => is), ['open', 'open'])
      await drive(b.messages.send(a.account, text('here I am')))
      await settle()
      deepStrictEqual([waiting.map(({ is }) => is), bodies(got).sort()], [[true, true], ['account', 'device']])
    }),
    test('both sides may connect at the same time, and are told', async ({ a, b, appear, vanish, drive, settle }) => {
      const [here, there, told] = [inbox(a), inbox(b), new Set<string>()]
      for (const who of [a, b]) who.messages.onPeerReady(({ device }) => told.add(device))
      await appear(b)
      deepStrictEqual(await drive(Promise.all([a.messages.send(b.account, text('to b')), b.messages.send(a.account, text('to a'))])), [true, true])
      await settle()
      deepStrictEqual([bodies(here), bodies(there), [...told].sort()], [['to a'], ['to b'], [a.device, b.device].sort()])
      deepStrictEqual(a.messages.connectedDevices(b.account), [b.device])
      await vanish(b)
      await settle()
      deepStrictEqual([a.messages.connectedDevices(b.account), b.messages.connectedDevices(a.account)], [[], []])
    }),
    test('a device that comes back gets what was sent meanwhile, once', async ({ a, b, appear, vanish, drive, settle }) => {
      const got = inbox(b)
      await appear(b)
      await drive(a.messages.send(b.account, text('before')))
      await settle()
      await vanish(b)
      const waiting = fate(a.messages.send(b.account, text('meanwhile')))
      await settle()
      deepStrictEqual(waiting.is, 'open')
      await appear(b)
      await settle()
      deepStrictEqual([waiting.is, bodies(got)], [true, ['before', 'meanwhile']])
    }),
    test('`replaces`: only the newest message of a slot waits for a target', async ({ a, b, b2, appear, settle }) => {
      const got = inbox(b)
      const send = (to: AccountUri | DeviceId, body: string, replaces?: string) => fate(a.messages.send(to, text(body), replaces === undefined ? {} : { replaces }))
      const fates = [
        send(b.account, 'old', 'slot'), send(b.account, 'free'), send(b.account, 'other slot', 'other'), send(b2.device, 'other target', 'slot'), send(b.account, 'free'),
        send(b.account, 'newer', 'slot'), send(b.account, 'newest', 'slot'),
      ]
      await settle()
      deepStrictEqual(fates.map(({ is }) => is), [false, 'open', 'open', 'open', 'open', false, 'open'])
      await appear(b)
      await settle()
      deepStrictEqual(fates.map(({ is }) => is), [false, true, true, 'open', true, false, true])
      deepStrictEqual(bodies(got).sort(), ['free', 'free', 'newest', 'other slot'])
    }),
    test('`replaces` takes nothing back that was written', async ({ a, b, appear, drive, settle }) => {
      const got = inbox(b)
      await appear(b)
      for (const body of ['1', '2']) deepStrictEqual(await drive(a.messages.send(b.account, text(body), { replaces: 'slot' })), true)
      await settle()
      deepStrictEqual(bodies(got), ['1', '2'])
    }),
    test('`connectedOnly`: written to open channels, else dropped, and no channel is made', async ({ a, b, appear, drive, settle }) => {
      const got = inbox(b)
      deepStrictEqual(await drive(a.messages.send(b.account, text('absent'), { connectedOnly: true })), false)
      await appear(b)
      await settle()
      deepStrictEqual(await drive(a.messages.send(b.account, text('no channel yet'), { connectedOnly: true })), false)
      await settle()
      deepStrictEqual(a.messages.connectedDevices(b.account), [])
      await drive(a.messages.send(b.account, text('channel')))
      deepStrictEqual(await drive(a.messages.send(b.account, text('connected'), { connectedOnly: true })), true)
      deepStrictEqual(await drive(a.messages.send(b.device, text('the device'), { connectedOnly: true })), true)
      await settle()
      deepStrictEqual(bodies(got), ['channel', 'connected', 'the device'])
    }),
    test('a type has one handler, which can be taken away', async ({ a, b, appear, drive, settle }) => {
      const got: string[] = []
      const off = b.messages.handle(MIME, () => void got.push('first'))
      throwsWith('ERR_ARGUMENT', () => b.messages.handle(MIME, () => {}))
      b.messages.handle('text/html', () => void got.push('html'))
      off()
      b.messages.handle(MIME, () => void got.push('second'))
      off()
      await appear(b)
      await drive(a.messages.send(b.account, text('x')))
      await drive(a.messages.send(b.account, text('x', 'text/html')))
      await settle()
      deepStrictEqual(got, ['second', 'html'])
    }),
    test('a type that nobody handles, and a handler that fails, keep nothing else from arriving', async ({ a, b, appear, drive, settle }) => {
      b.messages.handle('x/throws', () => {
        throw new Error('a handler of the test')
      })
      b.messages.handle('x/rejects', () => Promise.reject(new Error('a handler of the test')))
      const got = inbox(b)
      await appear(b)
      for (const mime of ['x/nobody', 'x/throws', 'x/rejects', MIME]) deepStrictEqual(await drive(a.messages.send(b.account, text('x', mime))), true)
      await settle()
      deepStrictEqual(bodies(got), ['x'])
    }),
    test('both sides are told once when a channel is ready, and know who is connected', async ({ a, b, appear, vanish, drive, settle }) => {
      const told: string[] = []
      for (const who of [a, b]) who.messages.onPeerReady(({ account, device }) => told.push(`${account} ${device}`))
      await appear(b)
      deepStrictEqual([a.messages.connectedDevices(b.account), b.messages.connectedDevices(a.account)], [[], []])
      for (let i = 0; i < 3; i++) await drive(a.messages.send(b.account, text('x')))
      await settle()
      deepStrictEqual(told.sort(), [`${a.account} ${a.device}`, `${b.account} ${b.device}`].sort())
      deepStrictEqual([a.messages.connectedDevices(b.account), b.messages.connectedDevices(a.account)], [[b.device], [a.device]])
      await vanish(b)
      await settle()
      deepStrictEqual([a.messages.connectedDevices(b.account), b.messages.connectedDevices(a.account)], [[], []])
      await appear(b)
      await drive(a.messages.send(b.account, text('x')))
      await settle()
      deepStrictEqual([told.length, a.messages.connectedDevices(b.account)], [4, [b.device]])
    }),
    test('what a listener of onPeerReady sends arrives, and a listener that throws or left disturbs nobody', async ({ a, b, appear, drive, settle }) => {
      const got = inbox(b)
      a.messages.onPeerReady(() => {
        throw new Error('a listener of the test')
      })
      a.messages.onPeerReady(({ device }) => void a.messages.send(device, text('welcome'), { connectedOnly: true }))
      a.messages.onPeerReady(() => got.splice(0))()
      await appear(b)
      await drive(a.messages.send(b.account, text('x')))
      await settle()
      deepStrictEqual(bodies(got).sort(), ['welcome', 'x'])
    }),
    test('only so many messages wait for one target: ERR_LIMIT; the waiting ones are not lost', async ({ a, b, appear, maxQueued, drive, settle }) => {
      const got = inbox(b)
      const waiting = Array.from({ length: maxQueued }, (_, i) => a.messages.send(b.account, text(String(i)), i === 0 ? { replaces: 'slot' } : {}))
      await rejectsWith('ERR_LIMIT', drive(a.messages.send(b.account, text('one more'))))
      const renewed = fate(a.messages.send(b.account, text('renewed'), { replaces: 'slot' })) // takes a place that is taken
      const other = fate(a.messages.send(b.device, text('another target')))
      await appear(b)
      await settle()
      deepStrictEqual([renewed.is, other.is], [true, true])
      deepStrictEqual((await drive(Promise.all(waiting))).filter((written) => !written).length, 1)
      deepStrictEqual(got.length, maxQueued + 1)
    }),
    test('stop() drops what waits, and nothing is sent afterwards', async ({ a, b, appear, drive, settle }) => {
      const got = inbox(b)
      const waiting = a.messages.send(b.account, text('waiting'))
      await settle()
      await drive(a.stop())
      deepStrictEqual(await drive(waiting), false)
      await appear(b)
      deepStrictEqual(await drive(a.messages.send(b.account, text('late'))), false)
      deepStrictEqual(await drive(a.messages.send(b.account, text('late'), { connectedOnly: true })), false)
      await settle()
      deepStrictEqual(got, [])
    }),
    test('stop() ends the channels on both sides, and the other one may wait for us again', async ({ a, b, appear, drive, settle }) => {
      await appear(b)
      await drive(a.messages.send(b.account, text('x')))
      await drive(b.stop())
      await settle()
      deepStrictEqual([a.messages.connectedDevices(b.account), b.messages.connectedDevices(a.account)], [[], []])
      const waiting = fate(a.messages.send(b.account, text('y')))
      await settle()
      ok(waiting.is === 'open' || waiting.is === false, String(waiting.is))
    }),
  ]
}
