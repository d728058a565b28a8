// A hostile member hands us damaged history, at random (ids are what they are: packs are indexed by us): whatever comes, the head moves only to what a full validation from scratch
// accepts, every refusal is a typed error, and nothing that was refused is kept.
import { JamiError } from '@jamikit/core/base'
import { concatBytes } from '@jamikit/core/codec'
import { SeededRandom } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { parseCommit, signedCommit } from '../../src/repo/commit.ts'
import { Conversation } from '../../src/conversation/conversation.ts'
import { type GitObject, objectId, type Oid } from '../../src/repo/object.ts'
import { alice, all, bob, crypto, pair, person } from '../harness.ts'
import { memoryFiles } from '../memory.ts'
import { receivedPack } from '../received.ts'

const ROUNDS = process.env.JAMIKIT_SIM === 'full' ? 20_000 : 1500

it(`${ROUNDS} damaged fetches`, async () => {
  const random = new SeededRandom('hostile')
  const { ours, theirs } = await pair()
  for (const body of ['one', 'two', 'three']) await theirs.append({ type: 'text/plain', fields: { body } }, undefined)
  const [start, honest] = [await all(ours), await all(theirs)]
  /** Alice as she was before the fetch, and what she has on disk. */
  const begin = async () => {
    const disk = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
    const victim = await Conversation.clone(person(alice, memoryFiles(disk))(ours.id), ours.id, ours.head, receivedPack(start), bob.accountId)
    const state = () => ({ head: victim.head, commits: victim.history.length, bytes: [...disk.files.values()].reduce((sum, bytes) => sum + bytes.length, 0) })
    return { victim, state, before: state() }
  }
  let { victim, state, before } = await begin()
  let taken = 0
  const flip = (data: Uint8Array) => {
    const out = new Uint8Array(data)
    const at = random.below(Math.max(1, out.length))
    out[at] = (out[at] ?? 0) ^ (1 << random.below(8))
    return out
  }
  let refused = 0
  for (let round = 0; round < ROUNDS; round++) {
    const objects = new Map(honest)
    const ids = [...objects.keys()]
    const pick = () => ids[random.below(ids.length)] as Oid
    let head: Oid = theirs.head
    const top = objects.get(head) as GitObject
    switch (random.below(6)) {
      case 0: { // an object is changed, and has another id by that
        const id = pick()
        const { type, data } = objects.get(id) as GitObject
        const changed: GitObject = { type, data: flip(data) }
        objects.delete(id)
        objects.set(objectId(changed), changed)
        break
      }
      case 1: { // an object is gone
        const gone = pick()
        objects.delete(gone)
        break
      }
      case 2: { // the head is changed, and its id with it
        const forged: GitObject = { type: 'commit', data: flip(top.data) }
        head = objectId(forged)
        objects.set(head, forged)
        break
      }
      case 3: { // a changed commit, signed by a device of Bob: right signature, wrong content
        const { signed } = parseCommit(top.data)
        const end = new TextDecoder().decode(signed).indexOf('\n\n')
        const bytes = concatBytes(signed.subarray(0, end + 2), flip(signed.subarray(end + 2))) // the message; headers by chance below
        if (random.below(2) === 0) bytes.set(flip(bytes.subarray(0, end)))
        const forged: GitObject = { type: 'commit', data: signedCommit(bytes, await crypto.sign(bob.privateKey, bytes)) }
        head = objectId(forged)
        objects.set(head, forged)
        break
      }
      case 4: { // what the head's tree names is of another type, and junk comes along
        const id = parseCommit(top.data).tree
        const other: GitObject = { type: 'blob', data: (objects.get(id) as GitObject).data }
        objects.delete(id)
        objects.set(objectId(other), other)
        break
      }
      default: // a head that is no commit
        head = pick()
    }
    const outcome: unknown = await victim.receive(head, receivedPack(objects)).then(() => undefined, (error: unknown) => error)
    if (outcome !== undefined) {
      expect(JamiError.is(outcome), String(outcome)).toBe(true)
      refused++
    }
    if (victim.head === before.head) {
      expect(state()).toEqual(before)
      continue
    }
    // it was taken: then it holds nothing that a clone from scratch refuses
    await Conversation.clone(person(alice, memoryFiles())(ours.id), ours.id, victim.head, receivedPack(await all(victim)), bob.accountId)
    taken++
    ;({ victim, state, before } = await begin())
  }
  expect(refused).toBeGreaterThan(ROUNDS / 3)
  expect(taken).toBeGreaterThan(0) // damage to what is known already costs nothing
})
