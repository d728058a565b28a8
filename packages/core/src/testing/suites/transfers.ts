// Contract suite of Transfers: files over channels and disk, and the double in memory. docs/protocol/04 §7.
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { ConversationId, MessageId } from '../../contracts/ids.ts'
import type { FileTransfer, Transfers } from '../../contracts/transfers.ts'
import { type ContractTest, rejectsWith, sameBytes, testsOf } from './contract-test.ts'

/** Files of two devices that share a conversation, both running, and what the tests do around them. */
export interface TransfersUnderTest {
  /** Sends. */
  readonly a: Transfers
  /** Receives. */
  readonly b: Transfers
  /** Of both. */
  readonly conversation: ConversationId
  /** Writes a message that announces no file, as A; B has it when it resolves. */
  text(): Promise<MessageId>
  /** Whether A is there for others. */
  reach(reachable: boolean): Promise<void>
  /** Lets time pass until it settles. */
  drive<T>(work: Promise<T>): Promise<T>
  /** Lets some seconds pass. */
  settle(): Promise<void>
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

async function* parts(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(0, bytes.length >> 1)
  yield bytes.subarray(bytes.length >> 1)
}

async function collected(transfer: FileTransfer): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const bytes of transfer.read()) all.push(bytes)
  return Buffer.concat(all)
}

/** What Transfers must do, as tests to run one by one. @param make makes a fresh pair for each test */
export function transfersSuite(make: () => TransfersUnderTest | Promise<TransfersUnderTest>): ContractTest[] {
  const BYTES = new Uint8Array(200_000).map((_, i) => i * 7 + (i >> 8))
  const test = testsOf(make, undefined, (t) => ({
    send: (bytes = BYTES, more: { key?: string; sizeBytes?: number; name?: string } = {}) => t.a.send(t.conversation, { source: parts(bytes), name: 'a.bin', ...more }),
    /** Announced by A, and known to B. */
    announced: async (bytes = BYTES, more: { name?: string } = {}) => {
      const message = await t.drive(t.a.send(t.conversation, { source: parts(bytes), name: 'a.bin', ...more }).done)
      await t.settle()
      return message
    },
  }))
  return [
    test('what is sent is announced; who asks for it has the same bytes', async ({ a, b, conversation, drive, announced }) => {
      const message = await announced()
      const transfer = b.receive(conversation, message)
      deepStrictEqual(await drive(transfer.done), message)
      sameBytes(await drive(collected(b.receive(conversation, message))), BYTES)
      sameBytes(await drive(collected(a.receive(conversation, message))), BYTES)
      const { doneBytes, totalBytes } = transfer.progress()
      deepStrictEqual([doneBytes, totalBytes, transfer.direction, transfer.conversation], [BYTES.length, BYTES.length, 'receive', conversation])
    }),
    test('progress ends with all bytes', async ({ b, conversation, drive, announced }) => {
      const transfer = b.receive(conversation, await announced())
      let told = 0
      transfer.onProgress(({ doneBytes }) => {
        ok(doneBytes >= told)
        told = doneBytes
      })
      await drive(transfer.done)
      deepStrictEqual(told, BYTES.length)
    }),
    test('an empty file is a file', async ({ b, conversation, drive, announced }) => {
      sameBytes(await drive(collected(b.receive(conversation, await announced(new Uint8Array(0))))), new Uint8Array(0))
    }),
    test('the same key again gives the first announcement', async ({ send, drive }) => {
      const first = await drive(send(BYTES, { key: 'k' }).done)
      deepStrictEqual(await drive(send(BYTES.subarray(1), { key: 'k' }).done), first)
    }),
    test('another size than was said is refused, and nothing is announced', async ({ send, drive, a }) => {
      await rejectsWith('ERR_ARGUMENT', drive(send(BYTES, { sizeBytes: BYTES.length - 1 }).done))
      deepStrictEqual(a.active(), [])
    }),
    test('who asks for what is no file is told', async ({ b, conversation, text, drive }) => {
      await rejectsWith('ERR_NOT_FOUND', drive(b.receive(conversation, await text()).done))
      await rejectsWith('ERR_NOT_FOUND', drive(b.receive(conversation, 'f'.repeat(40) as MessageId).done))
      await rejectsWith('ERR_NOT_FOUND', drive(b.receive('f'.repeat(40) as ConversationId, 'f'.repeat(40) as MessageId).done))
    }),
    test('the policy refuses by size and by what it is; names are plain', async ({ b, conversation, drive, announced }) => {
      const message = await announced(BYTES, { name: '../../x.exe' })
      b.setPolicy({ autoBytes: 0, maxBytes: BYTES.length - 1 })
      await rejectsWith('ERR_LIMIT', drive(b.receive(conversation, message).done))
      const names: string[] = []
      b.setPolicy({ autoBytes: 0, maxBytes: BYTES.length, accept: ({ name }) => names.push(name) > 1 })
      await rejectsWith('ERR_PEER_REFUSED', drive(b.receive(conversation, message).done))
      await drive(b.receive(conversation, message).done)
      deepStrictEqual(names, ['x.exe', 'x.exe'])
    }),
    test('what is small enough comes by itself, and is told', async ({ b, drive, announced, settle }) => {
      const began: FileTransfer[] = []
      b.onTransfer((transfer) => began.push(transfer))
      b.setPolicy({ autoBytes: BYTES.length, maxBytes: BYTES.length })
      const message = await announced()
      await settle()
      const [only, ...others] = began
      deepStrictEqual([only && (await drive(only.done)), others.length], [message, 0])
    }),
    test('while nobody has it it waits; it comes when somebody has', async ({ b, conversation, drive, announced, reach, settle }) => {
      const message = await announced()
      await reach(false)
      const transfer = b.receive(conversation, message)
      await settle()
      deepStrictEqual([transfer.progress().doneBytes, b.active().includes(transfer)], [0, true])
      await reach(true)
      await drive(transfer.done)
      deepStrictEqual(b.active(), [])
    }),
    test('paused it does not come; resumed it does', async ({ b, conversation, drive, announced, settle }) => {
      const message = await announced()
      const transfer = b.receive(conversation, message)
      transfer.pause()
      await settle()
      deepStrictEqual(b.active().length, 1)
      transfer.resume()
      deepStrictEqual(await drive(transfer.done), message)
    }),
    test('cancelled it ends with ERR_ABORTED, and may be asked for again', async ({ b, conversation, drive, announced, reach }) => {
      const message = await announced()
      await reach(false)
      const transfer = b.receive(conversation, message)
      await drive(transfer.cancel())
      await rejectsWith('ERR_ABORTED', drive(transfer.done))
      deepStrictEqual(b.active(), [])
      await reach(true)
      await drive(b.receive(conversation, message).done)
    }),
    test('stopped, what is under way ends with ERR_CLOSED, and so does what comes', async ({ b, conversation, drive, announced, reach }) => {
      const message = await announced()
      await reach(false)
      const transfer = b.receive(conversation, message)
      await drive(b.stop())
      await rejectsWith('ERR_CLOSED', drive(transfer.done))
      await rejectsWith('ERR_CLOSED', drive(b.receive(conversation, message).done))
    }),
  ]
}
