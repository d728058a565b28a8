// Scratch files in memory, which tests look into.
import { concatBytes } from '@jamikit/core/codec'
import type { ScratchFiles } from '../src/sync/spool.ts'

export class MemoryScratch implements ScratchFiles {
  readonly contents = new Map<string, Uint8Array>()
  appends = 0
  bytesRead = 0

  async read(path: string, { start, length }: { start: number; length: number }): Promise<Uint8Array | undefined> {
    this.bytesRead += length
    return this.contents.get(path)?.slice(start, start + length)
  }

  async append(path: string, bytes: Uint8Array): Promise<number> {
    this.appends++
    const whole = concatBytes(this.contents.get(path) ?? new Uint8Array(0), bytes)
    this.contents.set(path, whole)
    return whole.length
  }

  async remove(path: string): Promise<void> {
    this.contents.delete(path)
  }
}

export const scratch = (files = new MemoryScratch()): { files: MemoryScratch; path: string } => ({ files, path: 'scratch/pack' })
