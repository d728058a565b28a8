// The real Crypto by its contract suite, against OpenDHT's vectors, and off the event loop.
import { describe, it } from 'vitest'
import { cryptoSuite } from '../testing/suites/crypto.ts'
import { nodeCrypto } from './node-crypto.ts'

const crypto = nodeCrypto()
const keys = Promise.all([crypto.generateKey(2048), crypto.generateKey(2048)])

describe('nodeCrypto', () => {
  for (const { title, run } of cryptoSuite(async () => ({ crypto, keys: await keys }))) it(title, run, 30_000)
})
