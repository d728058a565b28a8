// Builds one package (run in its folder): ESM for Node 20, one file per entry point, shared parts split off, with types.
import { existsSync } from 'node:fs'
import { defineConfig } from 'tsup'

const subpaths = ['contracts', 'base', 'codec', 'crypto', 'identity', 'testing'].filter((name) => existsSync(`src/${name}/index.ts`))

export default defineConfig({
  entry: { index: 'src/index.ts', ...Object.fromEntries(subpaths.map((name) => [name, `src/${name}/index.ts`])) },
  format: 'esm',
  target: 'node20',
  platform: 'node',
  splitting: true,
  clean: true,
  sourcemap: false,
  dts: { compilerOptions: { paths: {}, noEmit: false, allowImportingTsExtensions: true, emitDeclarationOnly: true } },
})
