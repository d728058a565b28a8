// The composition root: storage → lock → DHT → accounts (each: certificates, connections, messages, conversations), by ordinary
// typed calls in a fixed order. No protocol logic, no default host.
import { loadAccounts } from '../account/account-record.ts'
import { JamiError } from '../base/errors.ts'
import { lineLogger, silentLogger } from '../base/logger.ts'
import { throwIfAborted } from '../base/operation.ts'
import type { Logger, LogLevel } from '../contracts/logger.ts'
import type { BaseEnv } from '../contracts/module.ts'
import { nodeCrypto } from '../crypto/node-crypto.ts'
import { nodeNetwork } from '../io/node-network.ts'
import { nodeRandom } from '../io/node-random.ts'
import { systemClock } from '../io/system-clock.ts'
import type { JamiNode, NodeOptions } from './api.ts'
import { Node } from './jami-node.ts'
import { openStorage } from './open-storage.ts'

function loggerOf(logger: Logger | LogLevel | undefined): Logger {
  if (logger === undefined) return silentLogger
  return typeof logger === 'string' ? lineLogger(logger, (line) => process.stderr.write(`${line}\n`)) : logger
}

/**
 * Starts a node: resolves when the profile is open and its accounts are loaded, and does not wait for the network.
 * @throws ERR_STORAGE_LOCKED, ERR_STORAGE_CORRUPT, ERR_PASSWORD (`encryptionKey`), ERR_ARGUMENT, ERR_ABORTED
 */
export async function createJamiNode(options: NodeOptions): Promise<JamiNode> {
  throwIfAborted(options.signal)
  const { modules } = options
  if (!modules?.dht || !modules.connections || !modules.conversations)
    throw new JamiError('ERR_UNSUPPORTED', 'modules: got fewer than dht, connections and conversations (packages @jamikit/dht, ice, swarm)')
  if (!Array.isArray(options.network?.bootstrap)) throw new JamiError('ERR_ARGUMENT', 'network.bootstrap: got nothing, allowed a list of host:port, maybe empty')
  const clock = options.runtime?.clock ?? systemClock()
  const env: BaseEnv = {
    clock,
    random: options.runtime?.random ?? nodeRandom(),
    crypto: options.runtime?.crypto ?? nodeCrypto(),
    network: options.runtime?.network ?? nodeNetwork(),
    logger: loggerOf(options.logger),
  }
  const problems: JamiError[] = [] // bounded by what one opening finds
  let report = (problem: JamiError): void => void problems.push(problem)
  const { storage, release } = await openStorage(options, (problem) => {
    env.logger.warn({ err: problem }, 'storage')
    if (problem.code !== 'ERR_STORAGE_IO') report(problem)
  })
  try {
    const records = await loadAccounts(storage)
    const dht = modules.dht({ ...env, bootstrap: options.network.bootstrap, ...options.dht })
    const node = new Node({ ...env, dht, storage, modules, release })
    try {
      await dht.start()
      await node.load(records)
      throwIfAborted(options.signal)
    } catch (error) {
      await node.close({ graceMs: 0 })
      throw error
    }
    const onAbort = () => void node.close()
    options.signal?.addEventListener('abort', onAbort, { once: true })
    report = (error) => void node.emit('error', { error, source: 'storage' })
    setImmediate(() => problems.splice(0).forEach(report)) // when whoever waits for the node listens
    return node
  } catch (error) {
    await release().catch(() => {})
    throw error
  }
}
