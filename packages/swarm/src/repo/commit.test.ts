// Commit objects: exact bytes, captured ones, names, refusals. docs/protocol/04 §1.5.
import { utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { alice, bundle, crypto } from '../../test/harness.ts'
import { authorName, parseCommit, signedCommit, unsignedCommit } from './commit.ts'
import { objectId } from './object.ts'

it('SWM-2 the bytes of the specification: 296 with the signature, 277 signed, and the id that git gives them', () => {
  const device = 'c87dc5b688c0e6a7d1cd30fe5c2b4a24aa68d6387ebba9aa7cbb487419578ea1'
  const unsigned = unsignedCommit({ tree: '7c580f529c196506e8ed9c16ef93c057a09c9a58', parents: [], name: 'Al, ice.', device: device as never, timeS: 1700000000, message: '{"mode":2,"type":"initial"}' })
  const bytes = signedCommit(unsigned, utf8('ABCD').map((b, i) => [0x41, 0x42, 0x43, 0x44][i] ?? b))
  expect([unsigned.length, bytes.length]).toEqual([277, 296])
  expect(objectId({ type: 'commit', data: utf8(new TextDecoder().decode(bytes).replace(/signature .*/, 'signature QUJDRA==')) })).toBe('d5cf0a146e0b98547fa6de4e8f83e961b1371e4a')
})

it('every captured commit is taken apart and put together to the same id, and its signature verifies over exactly the signed bytes', async () => {
  const objects = bundle('one-to-one')
  let count = 0
  for (const [oid, o] of objects) {
    if (o.type !== 'commit') continue
    const c = parseCommit(o.data)
    expect(objectId({ type: 'commit', data: signedCommit(c.signed, c.signature) })).toBe(oid)
    count++
  }
  expect(count).toBeGreaterThan(50)
  expect(await crypto.verify(alice.chain[0].publicKey, utf8('x'), new Uint8Array(256))).toBe(false)
})

describe('SWM-S12 names', () => {
  it.each([
    [' Al, ice.: ', 'Al, ice.'], ['<script>', 'script'], ['a\nb', 'ab'], ['  ', alice.deviceId], ['', alice.deviceId], ['"quoted"', 'quoted'],
  ])('%j becomes %j', (given, made) => expect(authorName(given, alice.deviceId)).toBe(made))
})

fuzz('any bytes are a commit or a typed error', fc.uint8Array({ maxLength: 400 }), (bytes) => void parseCommit(bytes))
fuzz('any header lines are a commit or a typed error', fc.array(fc.constantFrom('tree ', 'parent ', 'author a <b> 1 +0000', 'committer', 'signature AAAA', '', 'x')), (lines) => void parseCommit(utf8(lines.join('\n'))))
