// Names of @jamikit/dht; nothing else.
export { dht } from './dht.ts'
