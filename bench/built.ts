// Our side of a bench as users run it: the packages that `npm run build` made, under plain node. Programs of ours that drive them are bundled
// once into a folder from which `jamikit` is found as any program finds it; nothing of the packages goes into the bundle.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { build } from 'tsup'
import { rootDir } from '../interop/lib/peers-dir.ts'

const outDir = join(rootDir, 'node_modules', '.cache', 'jamikit-bench')
const PROGRAMS = { 'sdk-peer': 'interop/sdk-peer.ts', 'open-profile': 'bench/open-profile.ts' }

export const built = (program: keyof typeof PROGRAMS): string => join(outDir, `${program}.js`)

export async function buildAll(packages: boolean): Promise<void> {
  if (packages) {
    process.stderr.write('building the packages\n')
    const made = spawnSync(process.execPath, [join(rootDir, 'scripts', 'build.mjs')], { stdio: ['ignore', 'inherit', 'inherit'] })
    if (made.status !== 0) throw new Error('the packages cannot be built')
  }
  await build({
    entry: Object.fromEntries(Object.entries(PROGRAMS).map(([name, file]) => [name, join(rootDir, file)])),
    config: false, tsconfig: join(rootDir, 'bench', 'built.tsconfig.json'), outDir, clean: true, silent: true,
    format: 'esm', target: 'node20', platform: 'node', splitting: true, dts: false, external: [/^@?jamikit(?:\/|$)/],
  })
}
