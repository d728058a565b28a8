// The composition root: storage → lock → DHT → accounts (each: certificates, connections, messages, conversations), by ordinary
// typed calls in a fixed order. No protocol logic, no default host. Proof: node/jami-node.test.ts.
import { loadAccounts } from '../account/account-record.ts'
import { checkOptions, is, type Shape } from '../base/arguments.ts'
import { argumentError, JamiError } from '../base/errors.ts'
import { consoleLogger, lineLogger, silentLogger } from '../base/logger.ts'
import { throwIfAborted } from '../base/operation.ts'
import type { Logger } from '../contracts/logger.ts'
import type { BaseEnv, Modules } from '../contracts/module.ts'
import { nodeCrypto } from '../crypto/node-crypto.ts'
import { parseBootstrap } from '../identity/bootstrap.ts'
import { nodeNetwork } from '../io/node-network.ts'
import { nodeRandom } from '../io/node-random.ts'
import { systemClock } from '../io/system-clock.ts'
import type { JamiNode, NodeOptions } from './api-node.ts'
import { Node } from './jami-node.ts'
import { MAX_PATH_LENGTH } from './limits.ts'
import { openStorage } from './open-storage.ts'
import type { Warn } from './problems.ts'

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error']
const OPTIONS: Shape = {
  storage: is.either(is.text(1, MAX_PATH_LENGTH), is.with('a storage', 'get', 'batch', 'purge', 'keys', 'files', 'lock', 'close')),
  encryptionKey: { allowed: '32 bytes, or a function that gives them', test: (value) => typeof value === 'function' || (value instanceof Uint8Array && value.length === 32) },
  network: is.with('a network (isolated(…), or jamiNetwork of the package jamikit)'), // its parts are checked below, as of the next two
  dht: is.with('options of the DHT'),
  limits: is.with('limits'),
  logger: is.either(is.oneOf(...LEVELS, 'silent'), is.with('a logger', ...LEVELS)),
  signal: is.signal,
  modules: is.with('modules'),
  runtime: is.with('parts of the runtime'),
}
const NETWORK: Shape = { bootstrap: { allowed: 'a list of host:port, maybe empty', test: Array.isArray } } // its entries: parseBootstrap
const DHT: Shape = { port: is.whole(0, 65_535), networkId: is.whole(0, 0xffff_ffff), maxStoreBytes: is.whole(0, Number.MAX_SAFE_INTEGER) }
const LIMITS: Shape = { conversationBytes: is.whole(0, Number.MAX_SAFE_INTEGER) }
const MODULES: Shape = { dht: is.function, connections: is.function, conversations: is.function, media: is.function }
const RUNTIME: Shape = {
  clock: is.with('a clock', 'now', 'wallTimeMs', 'after', 'track'), random: is.with('a source of randomness', 'bytes'),
  crypto: is.with('cryptography', 'generateKey', 'sign', 'verify'), network: is.with('a network', 'addresses'),
}

function check(options: NodeOptions): void {
  if (options === undefined) throw argumentError('options', 'nothing', 'options with network and modules')
  checkOptions(options, OPTIONS)
  const { network, dht, limits, modules, runtime } = options
  checkOptions(network, NETWORK, 'network')
  checkOptions(dht, DHT, 'dht')
  checkOptions(limits, LIMITS, 'limits')
  checkOptions(modules, MODULES, 'modules')
  checkOptions(runtime, RUNTIME, 'runtime')
  if (!modules?.dht || !modules.connections || !modules.conversations) {
    const got = Object.keys(modules ?? {}).join(', ') || 'none'
    throw new JamiError('ERR_UNSUPPORTED', `modules: got ${got}, allowed dht, connections and conversations (packages @jamikit/dht, ice, swarm)`, { details: { field: 'modules', got, allowed: 'dht, connections, conversations' } })
  }
  if (!Array.isArray(network?.bootstrap)) throw argumentError('network.bootstrap', 'nothing', 'a list of host:port, maybe empty')
}

function loggerOf(logger: NodeOptions['logger']): Logger {
  if (logger === undefined) return silentLogger
  if (typeof logger === 'string') return lineLogger(logger, (line) => process.stderr.write(`${line}\n`))
  return 'child' in logger ? logger : consoleLogger(logger)
}

/** Node prints a process warning to stderr, unless told otherwise (`--no-warnings`, a listener of `warning`). */
const warn: Warn = (code, message, hint) => process.emitWarning(message, { type: 'JamiWarning', code, ...(hint === undefined ? {} : { detail: hint }) })

/**
 * Starts a node: resolves when the profile is open and its accounts are loaded, and does not wait for the network.
 * @throws ERR_STORAGE_LOCKED, ERR_STORAGE_CORRUPT, ERR_PASSWORD (`encryptionKey`), ERR_ARGUMENT, ERR_ABORTED
 */
export async function createJamiNode(options: NodeOptions): Promise<JamiNode> {
  check(options)
  throwIfAborted(options.signal)
  const { modules } = options
  const bootstrap = parseBootstrap(options.network.bootstrap, 'network.bootstrap').map(({ text }) => text)
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
    const kept = await loadAccounts(storage)
    const dht = modules.dht({ ...env, bootstrap, ...options.dht, storage, prefix: 'dht' })
    const maxBytes = options.limits?.conversationBytes
    const conversations: Modules['conversations'] = (e) => modules.conversations({ ...e, ...(maxBytes === undefined ? {} : { maxBytes }) })
    const node = new Node({ ...env, dht, storage, modules: { ...modules, conversations }, warn, release })
    report = (error) => node.report(error, 'storage')
    for (const problem of problems.splice(0)) report(problem)
    try {
      await dht.start()
      await node.load(kept)
      throwIfAborted(options.signal)
    } catch (error) {
      await node.close({ graceMs: 0 })
      throw error
    }
    const onAbort = () => void node.close()
    options.signal?.addEventListener('abort', onAbort, { once: true })
    return node
  } catch (error) {
    await release().catch(() => {})
    throw error
  }
}
