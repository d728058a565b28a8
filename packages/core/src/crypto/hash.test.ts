import { describe, expect, it } from 'vitest'
import { vectorJson } from '../../test/vectors.ts'
import { fromHex, toHex, utf8 } from '../codec/bytes.ts'
import { constantTimeEqual } from './compare.ts'
import { keccak256, sha1, sha256, sha3_512, sha3_512Stream, sha512 } from './hash.ts'

describe('hashes', () => {
  it('agree with OpenDHT, by length as it picks them', () => {
    const { hash } = vectorJson<{ hash: { input: string; length: number; outputHex: string }[] }>('opendht-symmetric.json')
    for (const { input, length, outputHex } of hash) {
      const digest = length <= 20 ? sha1 : length <= 32 ? sha256 : sha512
      expect(toHex(digest(utf8(input)).subarray(0, length))).toBe(outputHex)
    }
  })

  it('SHA3-512 in parts is that of the whole, wherever it is cut', () => {
    const bytes = utf8('a'.repeat(300))
    for (const cut of [0, 1, 71, 72, 73, 144, 300]) {
      const stream = sha3_512Stream()
      stream.update(bytes.subarray(0, cut))
      stream.update(bytes.subarray(cut))
      expect(toHex(stream.digest())).toBe(toHex(sha3_512(bytes)))
    }
  })

  it.each([
    [sha3_512, '', 'a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a615b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26'],
    [keccak256, '', 'c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'],
    [keccak256, 'abc', '4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45'],
    [sha1, 'abc', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
  ] as const)('%o of %j', (digest, text, hex) => {
    expect(toHex(digest(utf8(text)))).toBe(hex)
  })
})

describe('constantTimeEqual', () => {
  it('compares contents, and lengths', () => {
    expect(constantTimeEqual(fromHex('0102'), fromHex('0102'))).toBe(true)
    expect(constantTimeEqual(fromHex('0102'), fromHex('0103'))).toBe(false)
    expect(constantTimeEqual(fromHex('0102'), fromHex('010200'))).toBe(false)
    expect(constantTimeEqual(fromHex(''), fromHex(''))).toBe(true)
  })
})
