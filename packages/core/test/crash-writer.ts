// A process that writes batches, files and a journal until it is killed, and prints each one that was confirmed. Used by file-storage.test.ts.
import { fileStorage } from '../src/storage/file-storage.ts'
import { sealedStorage } from '../src/storage/sealed-storage.ts'

const [directory = '', start = '0', sealed = ''] = process.argv.slice(2)
const storage = sealed ? sealedStorage(fileStorage(directory), new Uint8Array(32).fill(7)) : fileStorage(directory)
await storage.lock()
const encoder = new TextEncoder()
for (let n = Number(start); ; n++) {
  const value = encoder.encode(String(n))
  // Three records and much ballast: sizes vary so that kills fall everywhere, and rewriting of the log happens often.
  await storage.batch([
    { key: 'first', value },
    { key: `ballast/${n % 5}`, value: new Uint8Array((n * 7919) % 400_000).fill(n) },
    { key: `log/${n}`, value },
    { key: `log/${n - 3}`, value: null },
    { key: 'last', value },
  ])
  await storage.files('tree').write('current', encoder.encode(`${n} `.repeat(5000)))
  // A journal of frames: number, length, that many times the number.
  const frame = new Uint8Array(8 + ((n * 5303) % 300_000)).fill(n)
  new DataView(frame.buffer).setUint32(0, n)
  new DataView(frame.buffer).setUint32(4, frame.length - 8)
  await storage.files('tree').append('journal', frame)
  process.stdout.write(`${n}\n`)
}
