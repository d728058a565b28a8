// Conversations that were accepted and are not here yet: cloned from any device of the inviter, with back-off, a few at a time; what fails
// validation again and again is given up until the next start. docs/protocol/04 §4.7. Proof: conversation/conversations.test.ts.
import { JamiError, type Tasks } from '@jamikit/core/base'
import type { AccountUri, ConversationId, DeviceDirectory, DeviceId, Logger } from '@jamikit/core/contracts'
import { CLONE_RETRY_MAX_MS, MAX_VALIDATION_FAILURES } from '../defaults.ts'
import type { Conversation } from './conversation.ts'
import type { Pending, Registry } from './registry.ts'

export interface CloningEnv {
  readonly registry: Registry
  readonly tasks: Tasks
  readonly directory: DeviceDirectory
  /** Devices of an account that have a link. */
  readonly connected: (account: AccountUri) => readonly DeviceId[]
  readonly logger: Logger
  /** Fetches, validates and keeps it. */
  readonly clone: (pending: Pending, device: DeviceId) => Promise<{ conversation: Conversation; from: AccountUri; head: string }>
  /** It is here, and joined. */
  readonly onCloned: (conversation: Conversation, from: AccountUri, head: string) => Promise<void>
  readonly onProblem: (conversation: ConversationId, error: JamiError) => void
}

export class Cloning {
  readonly #env: CloningEnv

  constructor(env: CloningEnv) {
    this.#env = env
  }

  /** Tries every device of the inviter, and again later. */
  round(pending: Pending): void {
    const { registry, tasks, directory, connected, logger } = this.#env
    pending.retry?.cancel()
    if (pending.failures >= MAX_VALIDATION_FAILURES) return
    tasks.run(`clone of ${pending.id}`, async (signal) => {
      const attempts: Promise<void>[] = connected(pending.from).map((device) => this.from(pending, device))
      try {
        for await (const device of directory.devicesOf(pending.from, { signal })) attempts.push(this.from(pending, device))
      } catch (error) {
        logger.debug({ err: JamiError.from(error) }, 'the inviter cannot be found')
      }
      await Promise.allSettled(attempts)
      if (registry.findPending(pending.id) !== pending || signal.aborted) return
      pending.retry = tasks.after(pending.waitMs, 'clone again', () => this.round(pending))
      pending.waitMs = Math.min(pending.waitMs * 2, CLONE_RETRY_MAX_MS)
    })
  }

  /** Tries one device now. */
  start(pending: Pending, device: DeviceId): void {
    this.#env.tasks.run(`clone of ${pending.id}`, () => this.from(pending, device))
  }

  async from(pending: Pending, device: DeviceId): Promise<void> {
    const { registry, tasks, logger, onProblem } = this.#env
    const { id, busy } = pending
    if (registry.findPending(id) !== pending || busy.has(device) || pending.failures >= MAX_VALIDATION_FAILURES) return
    busy.add(device)
    try {
      const { conversation, from, head } = await this.#env.clone(pending, device)
      if (registry.findPending(id) !== pending) return
      registry.add(conversation)
      logger.info({ conversation: id, device }, 'conversation cloned')
      await this.#env.onCloned(conversation, from, head)
    } catch (caught) {
      if (tasks.signal.aborted) return
      const error = JamiError.from(caught)
      logger.warn({ device, conversation: id, err: error }, 'a clone failed')
      if (['ERR_REPO_INVALID', 'ERR_NOT_MEMBER', 'ERR_LIMIT'].includes(error.code) && ++pending.failures >= MAX_VALIDATION_FAILURES)
        onProblem(id, new JamiError('ERR_REPO_INVALID', `conversation ${id} failed validation ${pending.failures} times and is not tried again before the next start, or until it is accepted again: ${error.message}`, { cause: error, details: { ...error.details, conversation: id, failures: pending.failures } }))
      else if (error.code.startsWith('ERR_STORAGE')) onProblem(id, error)
    } finally {
      busy.delete(device)
    }
  }
}
