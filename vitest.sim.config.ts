// The long simulations: packages/*/test/sim/*.sim.ts. Sizes by JAMIKIT_SIM (ci or full).
import { mergeConfig } from 'vitest/config'
import base from './vitest.config.ts'

/** Real time and minutes each, beside whatever else the machine does: not in continuous integration. */
const long = process.env.JAMIKIT_SIM === 'ci' ? ['**/sim/hostile-contact.sim.ts', '**/sim/hostile-stranger.sim.ts'] : []

export default mergeConfig(base, { test: { include: ['packages/*/test/sim/**/*.sim.ts'], exclude: ['**/*.test.ts', '**/node_modules/**', ...long], testTimeout: 280_000 } })
