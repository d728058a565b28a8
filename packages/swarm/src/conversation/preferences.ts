// What an account wants of its conversations: a few short texts each, private, on disk first. Kept also while a conversation is being cloned.
// docs/protocol/04 §5.7. Proof: conversation/preferences.test.ts.
import { argumentError, JamiError, limitError } from '@jamikit/core/base'
import { asArray, asInt, asMap, asString, decodeMsgpack, encodeMsgpack, wellFormed } from '@jamikit/core/codec'
import type { BaseEnv, ConversationId, Storage } from '@jamikit/core/contracts'
import { MAX_PREFERENCE_NAME, MAX_PREFERENCE_VALUE, MAX_PREFERENCES } from '../defaults.ts'
import { keys, recordsBelow } from './record.ts'

export interface PreferencesEnv extends Pick<BaseEnv, 'clock'> {
  readonly storage: Storage
  readonly prefix: string
  readonly onProblem: (conversation: ConversationId, error: JamiError) => void
}

type Values = Readonly<Record<string, string>>
const NONE: Values = Object.freeze({})

export class Preferences {
  readonly #env: PreferencesEnv
  readonly #values = new Map<ConversationId, Values>() // bounded by the conversations
  #turns: Promise<unknown> = Promise.resolve()

  constructor(env: PreferencesEnv) {
    this.#env = env
  }

  async load(): Promise<void> {
    const { storage, prefix, onProblem } = this.#env
    for await (const { id, bytes } of recordsBelow(storage, keys.all(prefix), /^([0-9a-f]{40})\/preferences$/)) {
      try {
        const map = asMap(decodeMsgpack(bytes), 'preferences')
        asInt(map.get('version') ?? 1, 'version')
        const entries = asArray(map.get('values') ?? [], 'values', MAX_PREFERENCES).map((pair): [string, string] => {
          const [name, value] = asArray(pair, 'value', 2)
          return [asString(name, 'name'), asString(value, 'value')]
        })
        this.#values.set(id, Object.freeze(Object.fromEntries(entries)))
      } catch (error) {
        onProblem(id, JamiError.from(error, 'ERR_STORAGE_CORRUPT'))
      }
    }
  }

  of(id: ConversationId): Values {
    return this.#values.get(id) ?? NONE
  }

  /** Replaces all of them; durable when it resolves. @throws ERR_LIMIT, ERR_ARGUMENT, ERR_STORAGE_IO */
  async set(id: ConversationId, preferences: Values): Promise<void> {
    const entries = Object.entries(preferences).map(([name, value]): [string, string] => {
      if (typeof value !== 'string') throw argumentError(`preferences.${name.slice(0, 40)}`, typeof value, 'a text')
      if (name.length > MAX_PREFERENCE_NAME) throw limitError('characters of the name of a preference', name.length, MAX_PREFERENCE_NAME)
      if (value.length > MAX_PREFERENCE_VALUE) throw limitError(`characters of the preference ${name}`, value.length, MAX_PREFERENCE_VALUE)
      return [wellFormed(name), wellFormed(value)]
    })
    if (entries.length > MAX_PREFERENCES) throw limitError('preferences', entries.length, MAX_PREFERENCES)
    const { storage, prefix, clock } = this.#env
    const turn = this.#turns.then(async () => {
      await storage.batch([{ key: keys.preferences(prefix, id), value: encodeMsgpack({ version: 1, changedMs: clock.wallTimeMs(), values: entries }) }])
      this.#values.set(id, Object.freeze(Object.fromEntries(entries)))
    })
    this.#turns = turn.catch(() => {})
    return turn
  }

  /** The conversation is gone, its records with it. */
  forget(id: ConversationId): void {
    this.#values.delete(id)
  }
}
