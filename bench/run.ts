// npm run bench [-- [--quick] [--full] [--pairs sdk-sdk,daemon-daemon] [--messages 5000] [--long 100000] [--sizes 5,8] [--no-build] [--keep] name…]
//
// Names: message contact history burst clone search file hol group storm (default: all). What one measures is said at the top of its file:
// bench/history.ts, burst.ts, long.ts (clone, search), files.ts (file, hol), groups.ts (group, storm). `--quick` takes small sizes under the same
// names and says so in `note`; `--full` a file of 2 GiB for the memory; `--sizes` are those of the groups; `--long 0` leaves the very long history
// out; `--no-build` takes the packages as they were built last; `--pairs sdk-sdk` leaves the daemons out (of history: nothing).
//
// Our nodes and the real daemon doing the same thing in the same run, in network namespaces without a way out. One JSON line
// per figure; `value` is the median, null where it did not come to an end. The sides take turns, so that noise of the machine hits all. Definitions:
//
//   message.one_way             send call written to the process -> line with the message read from the other process, one after
//                               another (the next one when the sender has seen its own, too); `first_20` = conversation of few commits
//   contact.accept_first_message  accept call -> both sides see the conversation joined, plus the first text from the one who asked
//   contact.accept_both_ways    the same plus the first text back
//   *.ratio                     our median / the daemon's: at most 1 means not slower, where it is a time; at least 1, where it is a rate
//   loop_delay_max              longest turn of the event loop of our nodes in all that was run (`monitorEventLoopDelay`, its interval taken off);
//                               `loop_busy_max`: only what the thread really ran; `memory_max`: most memory they had at the end of a part
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { killAllChildren } from '../interop/lib/line-child.ts'
import { Namespaces } from '../interop/lib/namespaces.ts'
import { requirePeers } from '../interop/lib/peers-dir.ts'
import { installPeers } from '../interop/lib/setup.ts'
import { buildAll } from './built.ts'
import { burst } from './burst.ts'
import { contact } from './contact.ts'
import { files } from './files.ts'
import { groups } from './groups.ts'
import { history } from './history.ts'
import { long } from './long.ts'
import { Loops } from './loops.ts'
import { message } from './message.ts'
import { ALL_PAIRS, type Run } from './pairs.ts'
import { People } from './people.ts'
import { KINDS } from './person.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false }, full: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false }, 'no-build': { type: 'boolean', default: false },
    pairs: { type: 'string' }, messages: { type: 'string' }, long: { type: 'string' }, sizes: { type: 'string' },
  },
})
/** Those that need the same people are one. */
const BENCHES: readonly { names: readonly string[]; bench: (people: People, run: Run) => Promise<void> }[] = [
  { names: ['message'], bench: message },
  { names: ['contact'], bench: contact },
  { names: ['burst'], bench: burst },
  { names: ['file', 'hol'], bench: files },
  { names: ['group', 'storm'], bench: groups },
  { names: ['clone', 'search'], bench: long },
  { names: ['history'], bench: history },
]
const NAMES = BENCHES.flatMap(({ names }) => names)

const pairs = ALL_PAIRS.filter(({ name }) => values.pairs === undefined || values.pairs.split(',').includes(name))
const run: Run = {
  quick: values.quick,
  full: values.full,
  pairs,
  kinds: KINDS.filter((kind) => pairs.some(({ from, to }) => from === kind && to === kind)),
  messages: Number(values.messages ?? (values.quick ? 200 : 5000)),
  long: Number(values.long ?? (values.quick ? 2000 : 100_000)),
  sizes: (values.sizes ?? (values.quick ? '5' : '5,8')).split(',').map(Number),
  wanted: new Set(positionals.length > 0 ? positionals : NAMES),
  loops: new Loops(),
}

async function main(): Promise<number> {
  const unknown = positionals.filter((name) => !NAMES.includes(name))
  if (unknown.length > 0) {
    console.error(`no such bench: ${unknown.join(', ')}; there are ${NAMES.join(', ')}`)
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
  let failed = 0
  try {
    for (const { names, bench } of BENCHES) {
      if (!names.some((name) => run.wanted.has(name))) continue
      try {
        await People.within(net, join(dir, names[0] ?? ''), (people) => bench(people, run))
      } catch (error) {
        // the others still say something
        failed++
        killAllChildren()
        console.error(error)
        process.stdout.write(`${JSON.stringify({ name: `${names[0]}.error`, note: String(error instanceof Error ? error.message : error).slice(0, 500) })}\n`)
      }
    }
    run.loops.print('')
    ok = failed === 0
  } finally {
    cleanUp()
    if (ok && !values.keep) rmSync(dir, { recursive: true, force: true })
    else console.error(`logs: ${dir}`)
  }
  return ok ? 0 : 1
}

process.exitCode = await main()
