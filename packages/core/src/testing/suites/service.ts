// Contract suite of Service: everything that runs can be started and stopped in any order, any number of times.
import { deepStrictEqual } from 'node:assert/strict'
import type { Service } from '../../contracts/service.ts'
import type { ContractTest } from './contract-test.ts'

/** A service, and what it leaves open. */
export interface ServiceUnderTest {
  /** Fresh, not started. */
  readonly service: Service
  /** Waits for `work`, letting time pass as it must. */
  drive<T>(work: Promise<T>): Promise<T>
  /** What the service has open: timers, sockets, listeners. */
  leaks(): unknown[]
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

/** What a Service must do, as tests to run one by one. @param make makes a fresh one for each test */
export function serviceSuite(make: () => ServiceUnderTest | Promise<ServiceUnderTest>): ContractTest[] {
  const test = (title: string, run: (t: ServiceUnderTest) => Promise<void>): ContractTest => ({
    title,
    run: async () => {
      const t = await make()
      try {
        await run(t)
        await t.drive(t.service.stop())
        deepStrictEqual(t.leaks(), [])
      } finally {
        await t.drive(t.service.stop())
        await t.dispose?.()
      }
    },
  })
  /** A stopped service does not start again: it may say so with an error or do nothing, and leaves nothing open. */
  const settled = (work: Promise<unknown>) => work.then(() => undefined, () => undefined)
  return [
    test('leaves nothing behind when it is stopped', async ({ service, drive }) => {
      await drive(service.start())
    }),
    test('start() and stop() may be called twice', async ({ service, drive }) => {
      await drive(service.start())
      await drive(service.start())
      await drive(service.stop())
      await drive(service.stop())
    }),
    test('start() may be called twice at once, and so may stop()', async ({ service, drive }) => {
      await drive(Promise.all([service.start(), service.start()]))
      await drive(Promise.all([service.stop(), service.stop()]))
    }),
    test('stop() before start() is fine, and start() then starts nothing', async ({ service, drive, leaks }) => {
      await drive(service.stop())
      await drive(settled(service.start()))
      deepStrictEqual(leaks(), [])
    }),
    test('stop() while it starts ends what was begun', async ({ service, drive, leaks }) => {
      const starting = settled(service.start())
      await drive(service.stop())
      await drive(starting)
      deepStrictEqual(leaks(), [])
    }),
    test('start() after stop() starts nothing', async ({ service, drive, leaks }) => {
      await drive(service.start())
      await drive(service.stop())
      await drive(settled(service.start()))
      deepStrictEqual(leaks(), [])
    }),
  ]
}
