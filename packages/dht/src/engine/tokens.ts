// Write tokens: bound to address and port, from a secret that changes; the current and the previous one are valid.
// docs/protocol/01 §3.8. Proof: engine/engine.test.ts.
import { utf8 } from '@jamikit/core/codec'
import type { Random, SocketAddress } from '@jamikit/core/contracts'
import { constantTimeEqual, sha256 } from '@jamikit/core/crypto'
import { TOKEN_SECRET_MS } from '../defaults.ts'

export class Tokens {
  readonly #random: Random
  #current: Uint8Array
  #previous: Uint8Array
  #changeAtMs: number

  constructor(random: Random, now: number) {
    this.#random = random
    this.#current = random.bytes(16)
    this.#previous = random.bytes(16)
    this.#changeAtMs = now + TOKEN_SECRET_MS
  }

  #rotate(now: number): void {
    if (now < this.#changeAtMs) return
    this.#previous = now < this.#changeAtMs + TOKEN_SECRET_MS ? this.#current : this.#random.bytes(16) // nobody asked for long: both are old
    this.#current = this.#random.bytes(16)
    this.#changeAtMs = now + TOKEN_SECRET_MS
  }

  make(to: SocketAddress, now: number): Uint8Array {
    this.#rotate(now)
    return token(this.#current, to)
  }

  check(presented: Uint8Array | undefined, from: SocketAddress, now: number): boolean {
    this.#rotate(now)
    if (presented?.length !== 32) return false
    return constantTimeEqual(presented, token(this.#current, from)) || constantTimeEqual(presented, token(this.#previous, from))
  }
}

function token(secret: Uint8Array, to: SocketAddress): Uint8Array {
  const address = utf8(`|${to.host}|${to.port}`)
  const input = new Uint8Array(secret.length + address.length)
  input.set(secret)
  input.set(address, secret.length)
  return sha256(input)
}
