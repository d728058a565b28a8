// npm run interop [-- [--ci|--full] [--list] [--keep] [--verbose] [--pcap] [--dir DIR] scenario…]
//
// Runs scenarios between our nodes and real peers (the Jami daemon of 2026, OpenDHT 2.4.12, git) in network namespaces
// that have no way out. Needs root and Linux; installs missing peers itself. One JSON line per step; ends with the first
// failure and status 1. Every scenario leaves reports/interop-<scenario>.json in vitest's shape.
//
//   --ci       small sizes (default); what measures runs only when it is named        --full     full sizes, all scenarios
//   --list     names the scenarios            --keep     leave data and logs of passed scenarios too
//   --verbose  peers log all they can, TLS secrets included; with --pcap, interop/peers/jami-core/decrypt.mjs opens it
//   --dir DIR  where peers keep their data    (default: a new folder under TMPDIR)
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { killAllChildren } from './lib/line-child.ts'
import { Namespaces } from './lib/namespaces.ts'
import { requirePeers } from './lib/peers-dir.ts'
import { writeReport } from './lib/report.ts'
import { type Scenario, Stage } from './lib/scenario.ts'
import { installPeers } from './lib/setup.ts'
import { scenarios } from './scenarios/index.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ci: { type: 'boolean' },
    full: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    pcap: { type: 'boolean', default: false },
    dir: { type: 'string' },
  },
})

const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

async function runScenario(scenario: Scenario, net: Namespaces, base: string): Promise<boolean> {
  const startTime = Date.now()
  const dir = join(base, scenario.name)
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  net.up(scenario.hosts)
  if (values.pcap) await net.capture(join(dir, 'net.pcap'))
  const stage = new Stage({ scenario, net, dir, full: values.full, verbose: values.verbose, print })
  let failure: unknown
  try {
    await scenario.run(stage)
  } catch (error) {
    failure = error ?? new Error('failed')
    // a failure between steps would otherwise not be in the report
    if (stage.steps.every((step) => step.ok)) await stage.step('scenario runs to its end', () => Promise.reject(error)).catch(() => {})
  }
  await stage.end()
  killAllChildren()
  net.endCapture()
  writeReport(scenario.name, stage, startTime, failure)
  print({ scenario: scenario.name, ok: failure === undefined, ms: Date.now() - startTime, ...(failure === undefined ? {} : { logs: dir }) })
  if (failure === undefined && !values.keep) rmSync(dir, { recursive: true, force: true })
  return failure === undefined
}

async function main(): Promise<number> {
  if (values.list) {
    for (const scenario of scenarios) print({ scenario: scenario.name, about: scenario.about, budgetMs: scenario.budgetMs, ...(scenario.notInCi === undefined ? {} : { notInCi: scenario.notInCi }) })
    return 0
  }
  const unknown = positionals.filter((name) => !scenarios.some((scenario) => scenario.name === name))
  if (unknown.length > 0) {
    console.error(`no such scenario: ${unknown.join(', ')}; there are ${scenarios.map((scenario) => scenario.name).join(', ')}`)
    return 2
  }
  const chosen = scenarios.filter((scenario) => (positionals.length === 0 ? values.full || scenario.notInCi === undefined : positionals.includes(scenario.name)))
  requirePeers()
  installPeers(new Set(chosen.flatMap((scenario) => scenario.needs)))
  const net = new Namespaces()
  const base = values.dir ?? mkdtempSync(join(tmpdir(), 'jamikit-interop-'))
  mkdirSync(base, { recursive: true })
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
  let ok = true
  try {
    for (const scenario of chosen) {
      ok = await runScenario(scenario, net, base)
      if (!ok) break
    }
  } finally {
    cleanUp()
  }
  if (ok && !values.keep && values.dir === undefined) rmSync(base, { recursive: true, force: true })
  return ok ? 0 : 1
}

process.exitCode = await main()
