// Names of core/storage; nothing else.
export { memoryStorage } from './memory-storage.ts'
