// Names of @jamikit/ice; nothing else.
export { ice } from './manager/connection-manager.ts'
