// How vitest finds the packages (their sources, not their builds) and the tests beside them.
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(`./packages/${path}`, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@jamikit\/core\/(contracts|base|codec|crypto|identity|testing)$/, replacement: `${source('core/src')}/$1/index.ts` },
      { find: /^@jamikit\/(core|dht|ice|swarm|media)$/, replacement: `${source('')}$1/src/index.ts` },
      { find: /^jamikit$/, replacement: source('jamikit/src/index.ts') },
      { find: /^test-kit\/fuzz$/, replacement: fileURLToPath(new URL('./test-kit/fuzz.ts', import.meta.url)) },
      { find: /^jamikit\/testing$/, replacement: source('jamikit/src/testing/index.ts') },
    ],
  },
  test: { testTimeout: 60_000, maxWorkers: '100%', include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts'], retry: 0 },
})
