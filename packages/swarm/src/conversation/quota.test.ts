// What others write is kept up to what the program allows, at the byte; what we write ourselves is not held back.
import { describe, expect, it } from 'vitest'
import { all, alice, bob, create, person } from '../../test/harness.ts'
import { receivedPack } from '../../test/received.ts'
import { Conversation } from './conversation.ts'

const text = (body: string) => ({ type: 'text/plain', fields: { body } })
/** As large as a pack of that would be, for the test. */
const PACK_BYTES = 5000

/** What a conversation has, as a pack of so many bytes. */
const packOf = async (c: Conversation, bytes = PACK_BYTES) => ({ ...receivedPack(await all(c)), bytes })

/** Alice's conversation with Bob, and Bob's clone of its beginning, which takes so much. */
async function replica(maxBytes: number) {
  const hers = await create(alice, bob.accountId)
  const his = await Conversation.clone({ ...person(bob)(hers.id), maxBytes }, hers.id, hers.head, await packOf(hers, 100), alice.accountId)
  await hers.append(text('hello'), undefined)
  return { hers, his }
}

describe('bytes of a conversation', () => {
  it('of others are taken up to the bound, at the byte; above it nothing changes, and what we write is written', async () => {
    const { his: any } = await replica(2 ** 30)
    const size = 2 ** 30 - (await any.room())
    const { hers, his } = await replica(size + PACK_BYTES)
    expect(await his.receive(hers.head, await packOf(hers))).toMatchObject({ head: hers.head })
    const { hers: longer, his: full } = await replica(size + PACK_BYTES - 1)
    const { head } = full
    await expect(full.receive(longer.head, await packOf(longer))).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { what: 'bytes of a conversation', allowed: size + PACK_BYTES - 1, got: size + PACK_BYTES, head: longer.head } })
    expect([full.head, full.has(longer.head)]).toEqual([head, false])
    await full.append(text('I can still say that'), undefined)
    await full.append(text('and more '.repeat(1000)), undefined)
    expect(full.head).not.toBe(head)
  })

  it('are bounded from the first clone on', async () => {
    const hers = await create(alice, bob.accountId)
    const clone = async (maxBytes: number) => Conversation.clone({ ...person(bob)(hers.id), maxBytes }, hers.id, hers.head, await packOf(hers), alice.accountId)
    await expect(clone(PACK_BYTES - 1)).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { allowed: PACK_BYTES - 1, got: PACK_BYTES } })
    expect((await clone(PACK_BYTES)).head).toBe(hers.head)
  })
})
