// The zlib streams of pack entries, never larger than they say. docs/protocol/04 §3.9, trap S11.
// Proof: sync/pack-reader.test.ts (bombs, lying sizes, large objects).
import { deflate, deflateSync, inflate, inflateSync } from 'node:zlib'
import { JamiError } from '@jamikit/core/base'
import type { Clock } from '@jamikit/core/contracts'
import { OFF_LOOP_BYTES } from '../defaults.ts'
import { repoInvalid } from '../repo/object.ts'

/** More than any compressor makes of so many bytes: what an entry may take of the pack. */
export const maxDeflated = (size: number): number => size + (size >> 2) + 1024

interface WithEngine {
  buffer: Uint8Array
  engine: { bytesWritten: number }
}

/**
 * Exactly `size` bytes, and how much of the input they took.
 * @throws ERR_REPO_INVALID when it is no zlib stream, is longer or shorter
 */
export async function inflateExactly(clock: Pick<Clock, 'track'>, input: Uint8Array, size: number): Promise<{ data: Uint8Array; used: number }> {
  // info: also gives the engine, whose bytesWritten is the input used; the type declarations do not know it
  const options = { maxOutputLength: size + 1, chunkSize: Math.max(64, Math.min(size + 1, 65_536)), info: true } as Parameters<typeof inflateSync>[1]
  let result: WithEngine
  try {
    if (size <= OFF_LOOP_BYTES) result = inflateSync(input, options) as unknown as WithEngine
    else result = await clock.track(new Promise<WithEngine>((resolve, reject) => inflate(input, options ?? {}, (error, out) => (error ? reject(error) : resolve(out as unknown as WithEngine)))))
  } catch (cause) {
    throw new JamiError('ERR_REPO_INVALID', 'pack: an object does not inflate', { cause })
  }
  if (result.buffer.length !== size) throw repoInvalid('pack: an object has another size than declared', { got: result.buffer.length, allowed: size })
  return { data: new Uint8Array(result.buffer.buffer, result.buffer.byteOffset, size), used: result.engine.bytesWritten }
}

export async function deflated(clock: Pick<Clock, 'track'>, data: Uint8Array): Promise<Uint8Array> {
  if (data.length <= OFF_LOOP_BYTES) return new Uint8Array(deflateSync(data))
  return clock.track(new Promise<Uint8Array>((resolve, reject) => deflate(data, (error, out) => (error ? reject(error) : resolve(new Uint8Array(out))))))
}
