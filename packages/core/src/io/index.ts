// Names of core/io; nothing else.
export { nodeNetwork } from './node-network.ts'
export { nodeRandom } from './node-random.ts'
export { systemClock } from './system-clock.ts'
