// Storage in memory with a hook that can fail any write, under the name that the tests of this package use.
import { type TestStorage, testStorage } from '@jamikit/core/testing'

/** `onWrite` is called before each write; throwing there is a crash. */
export type MemoryFiles = TestStorage

export const memoryFiles = (shared?: TestStorage['contents']): MemoryFiles => testStorage(shared)
