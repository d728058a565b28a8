// Waiting for what has no signal: a test that is repeated.
const EVERY_MS = 20

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export async function until(what: string, timeoutMs: number, test: () => Promise<boolean> | boolean, everyMs = EVERY_MS): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!(await test())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await pause(everyMs)
  }
}
