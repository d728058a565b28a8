// npm run bench [-- [--quick] [--pairs sdk-sdk,daemon-daemon] [--messages 5000] [--long 100000] [--no-build] [--keep] name…]
//
// Names: message contact history (default: all); what history measures is said in bench/history.ts. `--long 0` leaves the very long history
// out, `--no-build` takes the packages as they were built last.
//
// Our nodes and the real daemon doing the same thing in the same run, in network namespaces without a way out. One JSON line
// per figure; `value` is the median. The pairs take turns, so that noise of the machine hits all of them. Definitions:
//
//   message.one_way             send call written to the process -> line with the message read from the other process, one after
//                               another (the next one when the sender has seen its own, too); `first_20` = conversation of few commits
//   contact.accept_first_message  accept call -> both sides see the conversation joined, plus the first text from the one who asked
//   contact.accept_both_ways    the same plus the first text back
//   *.ratio                     first pair's median / daemon-daemon's median; at most 1 means: not slower than the daemon
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { killAllChildren } from '../interop/lib/line-child.ts'
import { Namespaces } from '../interop/lib/namespaces.ts'
import { requirePeers } from '../interop/lib/peers-dir.ts'
import { installPeers } from '../interop/lib/setup.ts'
import { buildAll } from './built.ts'
import { contact } from './contact.ts'
import { history } from './history.ts'
import { message } from './message.ts'
import { ALL_PAIRS, type Run } from './pairs.ts'
import { People } from './people.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false }, 'no-build': { type: 'boolean', default: false },
    pairs: { type: 'string' }, messages: { type: 'string' }, long: { type: 'string' },
  },
})
const run: Run = {
  quick: values.quick,
  pairs: ALL_PAIRS.filter(({ name }) => values.pairs === undefined || values.pairs.split(',').includes(name)),
  messages: Number(values.messages ?? (values.quick ? 200 : 5000)),
  long: Number(values.long ?? (values.quick ? 2000 : 100_000)),
}

const BENCHES: Record<string, (people: People, run: Run) => Promise<void>> = { message, contact, history }

async function main(): Promise<number> {
  const unknown = positionals.filter((name) => !(name in BENCHES))
  if (unknown.length > 0) {
    console.error(`no such bench: ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`)
    return 2
  }
  requirePeers()
  installPeers(new Set(['daemon', 'opendht']))
  await buildAll(!values['no-build'])
  const net = new Namespaces('jb')
  const dir = mkdtempSync(join(tmpdir(), 'jamikit-bench-'))
  const cleanUp = () => {
    killAllChildren()
    net.down()
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      cleanUp()
      process.exit(130)
    })
  }
  let ok = false
  try {
    for (const [name, bench] of Object.entries(BENCHES)) {
      if (positionals.length > 0 && !positionals.includes(name)) continue
      await People.within(net, join(dir, name), (people) => bench(people, run))
    }
    ok = true
  } finally {
    cleanUp()
    if (ok && !values.keep) rmSync(dir, { recursive: true, force: true })
    else console.error(`logs: ${dir}`)
  }
  return 0
}

process.exitCode = await main()
