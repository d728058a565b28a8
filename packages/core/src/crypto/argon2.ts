// Argon2i by whoever can do it here: Node's own (24 and later) off the loop, else the noble implementation in a thread.
// docs/protocol/01 §5.5, 03 §3.1. Proof: crypto/node-crypto.test.ts (vectors of OpenDHT).
import * as nodeCrypto from 'node:crypto'
import { JamiError } from '../base/errors.ts'
import { CryptoWorker } from './worker.ts'

export interface Argon2Options {
  passes: number
  memoryKib: number
  lanes: number
  length: number
}

type NodeArgon2 = (
  algorithm: 'argon2i',
  options: { message: Uint8Array; nonce: Uint8Array; parallelism: number; tagLength: number; memory: number; passes: number },
  done: (error: Error | null, result: Uint8Array) => void,
) => void

/** Derivations run one after the other: each may take 64 MiB and more than a second of a core. */
let last: Promise<unknown> = Promise.resolve()

/** @throws ERR_ARGUMENT for parameters outside RFC 9106 §3.1 or memory above 1 GiB */
export async function argon2i(password: Uint8Array, salt: Uint8Array, options: Argon2Options): Promise<Uint8Array> {
  const { passes, memoryKib, lanes, length } = options
  check('passes', passes, 1, 1000)
  check('lanes', lanes, 1, 64)
  check('memoryKib', memoryKib, 8 * lanes, 1 << 20)
  check('length', length, 4, 1024)
  check('salt length', salt.length, 8, 1024)
  const turn = last.then(() => derive(password, salt, options))
  last = turn.catch(() => {})
  return turn
}

async function derive(password: Uint8Array, salt: Uint8Array, options: Argon2Options): Promise<Uint8Array> {
  const { passes, memoryKib, lanes, length } = options
  const native = (nodeCrypto as { argon2?: NodeArgon2 }).argon2
  if (!native) {
    const thread = new CryptoWorker() // its own: one derivation takes seconds, and its 64 MiB go away with it
    try {
      const result = await thread.run({ kind: 'argon2i', password, salt, ...options })
      if (!result) throw new JamiError('ERR_INTERNAL', 'Argon2 gave no result')
      return result
    } finally {
      await thread.stop()
    }
  }
  return new Promise((resolve, reject) => {
    native('argon2i', { message: password, nonce: salt, parallelism: lanes, tagLength: length, memory: memoryKib, passes }, (error, result) =>
      error ? reject(new JamiError('ERR_INTERNAL', 'Argon2 failed', { cause: error })) : resolve(new Uint8Array(result)),
    )
  })
}

function check(name: string, got: number, min: number, max: number): void {
  if (!Number.isInteger(got) || got < min || got > max) throw new JamiError('ERR_ARGUMENT', `Argon2 ${name}: got ${got}, allowed ${min} to ${max}`)
}
