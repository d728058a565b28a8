// Names of core/storage; nothing else.
export { fileStorage } from './file-storage.ts'
export { memoryStorage } from './memory-storage.ts'
export { sealedStorage } from './sealed-storage.ts'
