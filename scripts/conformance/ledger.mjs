#!/usr/bin/env node
// Conformance ledger: which numbered items of the protocol specifications are proven by a passing test.
//
//   node ledger.mjs [--spec DIR] [--list] [--json] REPORT.json...
//
// The specifications' checklists are numbered; an item's tag is its area and number: DHT-12, ICE-7, ACC-9, SWM-21,
// CALL-5, and for the security lists DHT-S1, ICE-S1, ... A test proves an item when its own title
// holds the tag (three tags at most) and it passed. REPORT.json is what `vitest run --reporter=json` writes; several
// reports (unit, interop) are added up. Exit status 1 when a tagged test failed or a tag does not exist in the
// specifications, 0 otherwise: coverage is shown, not judged.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const AREAS = { '01': 'DHT', '02': 'ICE', '03': 'ACC', '04': 'SWM', '05': 'CALL' }
const args = process.argv.slice(2)
const flag = (name) => { const i = args.indexOf(name); return i < 0 ? false : (args.splice(i, 1), true) }
const option = (name, fallback) => { const i = args.indexOf(name); return i < 0 ? fallback : args.splice(i, 2)[1] }
const here = dirname(fileURLToPath(import.meta.url))
const specDir = option('--spec', join(here, '..', '..', 'docs', 'protocol'))
const list = flag('--list')
const json = flag('--json')

/** Items of one specification: the numbered lines of its conformance checklist, and the numbered lines, table rows
 *  or inline "S1. ..." sentences of the sections named "Security ...", whose tags get an S. */
function itemsOf(file) {
  const area = AREAS[file.slice(0, 2)]
  const items = []
  let mode = '' // '', 'check' or 'secure'
  const _checkDepth = 0
  let last = null
  for (const line of readFileSync(join(specDir, file), 'utf8').split('\n')) {
    const heading = /^(#+) (.*)/.exec(line)
    if (heading) {
      const depth = heading[1].length
      last = null
      if (depth === 2) mode = ''
      if (depth === 2 && /conformance checklist/i.test(heading[2])) mode = 'check'
      else if (/^[\d.]+ security (trap|requirement)/i.test(heading[2])) mode = 'secure'
      else if (mode === 'secure') mode = depth > 2 ? 'check' : ''
      continue
    }
    if (!mode) continue
    const numbered = /^(\d+)\. (.*)/.exec(line)
    const row = /^\| (S\d+) \| (.*?) \|(?: (.*) \|)?\s*$/.exec(line)
    if (numbered) items.push((last = { tag: `${area}-${mode === 'secure' ? 'S' : ''}${numbered[1]}`, text: numbered[2] }))
    else if (row) items.push((last = { tag: `${area}-${row[1]}`, text: row[3] ? `${row[2]} -> ${row[3]}` : row[2] }))
    else if (mode === 'secure' && /(^|\s)S\d+\. /.test(line)) {
      const parts = line.split(/(?:^|\s)(S\d+)\. /)
      if (parts[0].trim() && last) last.text += ' ' + parts[0].trim()
      for (let i = 1; i < parts.length; i += 2) items.push((last = { tag: `${area}-${parts[i]}`, text: parts[i + 1].trim() }))
    } else if (last && line.trim() && !line.startsWith('|')) last.text += ' ' + line.trim()
    else last = null
  }
  return items.map((i) => ({ ...i, level: /-S\d/.test(i.tag) || /\bMUST\b/.test(i.text) ? 'MUST' : /\bSHOULD\b/.test(i.text) ? 'SHOULD' : 'other' }))
}

const items = new Map()
for (const file of readdirSync(specDir).filter((f) => AREAS[f.slice(0, 2)]).sort())
  for (const item of itemsOf(file)) if (!items.has(item.tag)) items.set(item.tag, { ...item, passed: 0, failed: 0, skipped: 0 })

const unknown = new Set()
const broken = []
for (const report of args) {
  for (const suite of JSON.parse(readFileSync(report, 'utf8')).testResults ?? []) {
    if (suite.status === 'failed' && !suite.assertionResults?.length) broken.push(`${suite.name}: ${suite.message ?? 'no test ran'}`)
    for (const test of suite.assertionResults ?? []) {
      const title = test.title
      const tags = new Set(title.match(/\b(?:DHT|ICE|ACC|SWM|CALL)-S?\d+\b/g) ?? [])
      if (tags.size > 3) { unknown.add(`${tags.size} tags, 3 allowed, in "${title}"`); continue }
      for (const tag of tags) {
        const item = items.get(tag)
        if (!item) unknown.add(`${tag} in "${title}"`)
        else if (test.status === 'passed') item.passed++
        else if (test.status === 'failed') item.failed++
        else item.skipped++
      }
    }
  }
}

const all = [...items.values()]
if (json) console.log(JSON.stringify(all, null, 1))
else {
  const row = (area, set) => {
    const of = (level) => set.filter((i) => i.level === level)
    const proven = (level) => of(level).filter((i) => i.passed && !i.failed).length
    console.log(`${area.padEnd(6)} MUST ${String(proven('MUST')).padStart(3)}/${String(of('MUST').length).padEnd(4)} SHOULD ${String(proven('SHOULD')).padStart(3)}/${String(of('SHOULD').length).padEnd(4)} other ${proven('other')}/${of('other').length}   failing ${set.filter((i) => i.failed).length}`)
  }
  for (const area of Object.values(AREAS)) row(area, all.filter((i) => i.tag.startsWith(`${area}-`)))
  row('all', all)
  if (list) for (const i of all) if (!i.passed || i.failed) console.log(`${i.failed ? 'FAILS ' : 'open  '} ${i.tag.padEnd(9)} ${i.text.slice(0, 150)}`)
  for (const u of unknown) console.log(`unknown tag ${u}`)
}
for (const b of broken) console.error(`report broken: ${b}`)
process.exitCode = all.some((i) => i.failed) || unknown.size || broken.length ? 1 : 0
