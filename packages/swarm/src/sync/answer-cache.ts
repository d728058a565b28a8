// Answers for who asks the same again: the same wants over the same haves are the same objects for ever. Pure. docs/protocol/04 §4.3.
// Proof: sync/answer-cache.test.ts.
import { toHex, utf8 } from '@jamikit/core/codec'
import { sha1 } from '@jamikit/core/crypto'
import { MAX_ANSWER_OBJECTS, MAX_ANSWERS } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import { type Answer, answerSize } from './answer.ts'

/** One for each history (rows are its own). The least recently asked for goes first. */
export class AnswerCache {
  readonly #answers = new Map<string, Answer>() // bounded by MAX_ANSWERS, MAX_ANSWER_OBJECTS
  #objects = 0

  get(wants: readonly Oid[], haves: readonly Oid[]): Answer | undefined {
    const key = keyOf(wants, haves)
    const answer = this.#answers.get(key)
    if (answer) {
      this.#answers.delete(key)
      this.#answers.set(key, answer)
    }
    return answer
  }

  set(wants: readonly Oid[], haves: readonly Oid[], answer: Answer): void {
    const key = keyOf(wants, haves)
    const before = this.#answers.get(key)
    if (before) this.#forget(key, before)
    if (answerSize(answer) > MAX_ANSWER_OBJECTS) return
    this.#answers.set(key, answer)
    this.#objects += answerSize(answer)
    for (const [oldest, gone] of this.#answers) {
      if (this.#answers.size <= MAX_ANSWERS && this.#objects <= MAX_ANSWER_OBJECTS) break
      this.#forget(oldest, gone)
    }
  }

  #forget(key: string, answer: Answer): void {
    this.#answers.delete(key)
    this.#objects -= answerSize(answer)
  }
}

const keyOf = (wants: readonly Oid[], haves: readonly Oid[]) => toHex(sha1(utf8(`${[...wants].sort().join()}|${[...haves].sort().join()}`)))
