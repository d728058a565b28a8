// Names of @jamikit/swarm; nothing else.
export { swarm } from './conversation/swarm.ts'
