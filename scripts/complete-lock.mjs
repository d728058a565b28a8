// Completes package-lock.json after `npm install`: optional packages for other systems that this machine's registry did not offer get an
// entry with their version, system and processor, so that `npm ci` (which insists on them) works everywhere. Run by hand after an update.
import { readFileSync, writeFileSync } from 'node:fs'

const file = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file, 'utf8'))
const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'aix', 'win32']
const CPUS = { arm64: 'arm64', x64: 'x64', ia32: 'ia32', arm: 'arm', armv7: 'arm', armv6: 'arm', riscv64: 'riscv64', ppc64: 'ppc64', ppc64le: 'ppc64', s390x: 's390x', loong64: 'loong64', mips64el: 'mips64el', wasm32: 'wasm32' }
let added = 0
for (const [at, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const nested = `${at}/node_modules/${name}`
    const top = `node_modules/${name}`
    if (lock.packages[nested] || lock.packages[top]?.version === version.replace(/^[~^]/, '')) continue
    const words = name.split(/[-/]/)
    const os = words.find((w) => SYSTEMS.includes(w)) ?? (name === 'fsevents' ? 'darwin' : undefined)
    const cpu = words.map((w) => CPUS[w] ?? CPUS[w.replace(/^linux|^darwin/, '')]).find(Boolean)
    const libc = words.some((w) => w.startsWith('musl')) ? ['musl'] : words.some((w) => w.startsWith('gnu')) && os === 'linux' ? ['glibc'] : undefined
    if (!os && !cpu) continue
    lock.packages[lock.packages[top] ? nested : top] = {
      version: version.replace(/^[~^]/, ''), ...(cpu ? { cpu: [cpu] } : {}), dev: true, ...(libc ? { libc } : {}), optional: true, ...(os ? { os: [os] } : {}),
    }
    added++
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added} entries added`)
