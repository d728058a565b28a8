// The long simulations: packages/*/test/sim/*.sim.ts. Sizes by JAMIKIT_SIM (ci or full).
import { mergeConfig } from 'vitest/config'
import base from './vitest.config.ts'

export default mergeConfig(base, { test: { include: ['packages/*/test/sim/**/*.sim.ts'], exclude: ['**/*.test.ts', '**/node_modules/**'], testTimeout: 280_000 } })
