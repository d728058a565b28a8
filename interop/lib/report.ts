// A scenario's report in the JSON shape of vitest, which the conformance ledger reads.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootDir } from './peers-dir.ts'
import type { Stage } from './scenario.ts'

export function writeReport(name: string, stage: Stage, startTime: number, error: unknown): void {
  const ok = error === undefined
  const assertionResults = stage.steps.map((step) => ({
    ancestorTitles: [`interop ${name}`],
    fullName: `interop ${name} ${step.title}`,
    title: step.title,
    status: step.ok ? 'passed' : 'failed',
    duration: step.ms,
    failureMessages: step.error === undefined ? [] : [step.error],
  }))
  const failed = assertionResults.filter((result) => result.status === 'failed').length
  const report = {
    numTotalTests: assertionResults.length,
    numPassedTests: assertionResults.length - failed,
    numFailedTests: failed,
    success: ok,
    startTime,
    testResults: [
      {
        name: `interop/scenarios/${name}.ts`,
        status: ok ? 'passed' : 'failed',
        message: ok ? '' : error instanceof Error ? error.message : String(error),
        startTime,
        endTime: Date.now(),
        assertionResults,
      },
    ],
  }
  mkdirSync(join(rootDir, 'reports'), { recursive: true })
  writeFileSync(join(rootDir, 'reports', `interop-${name}.json`), `${JSON.stringify(report, null, 1)}\n`)
}
