// npm run bench -- file hol      files between two of ours, beside two daemons, in turns
//
//   file.64, file.512       MB/s: download call at the receiver to the line that says it is complete and checked, 64 MiB 5 times, 512 MiB 3 times
//                           (quick: 16 MiB twice, 64 MiB once); `file.64.ratio`
//   file.64_offer, …        send call to the announcement at the peer (the hash comes first)
//   file.64_cpu_sender, _cpu_receiver, …   processor seconds during the transfer
//   file.wire               ours: bytes that came in at the receiver's interface, from the download call to 0.5 s after the end : size of the file, of the
//                           largest; must be at most 1.01
//   file.rss_growth         ours: the most resident memory while it is sent and fetched, less what it was before the first file of this run, of sender
//                           and receiver, for 512 MiB (quick: 256 MiB; --full: 2 GiB); must be at most 100 MB
//   hol.message_quiet       a text one way in that conversation, no transfer
//   hol.same.message_with_file   texts in the direction of the file while 64 MiB are on their way (3 times; quick: once), 50 ms pauses, only the sender of the file
//                           writes; `hol.both.*`: both write, `message_against_file` is the other way
//   hol.same.p95.ratio      ours / the daemon's, of the 95th percentiles; must be at most 0.2
//   hol.same.file, traffic  the file's MB/s meanwhile; bytes received from the call to 2 s after the end, as a multiple of the file
import { closeSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { createCipheriv } from 'node:crypto'
import { join } from 'node:path'
import { costs, memoryMb, resetPeak } from './costs.ts'
import { figure, quantile } from './figure.ts'
import { say } from './loops.ts'
import { lists, perKind, type Run } from './pairs.ts'
import { befriend, type Kind, type People, type Person } from './people.ts'
import { pause } from './until.ts'

const MIB = 2 ** 20
const TRANSFER_MS = 1_200_000
const TALK_PAUSE_MS = 50

interface Couple {
  readonly a: Person
  readonly b: Person
  readonly conversation: string
}

type Couples = Record<Kind, Couple>

interface Transferred {
  readonly rate: number
  readonly offerMs: number
  readonly cpu: readonly number[]
  readonly same: number[]
  readonly against: number[]
  /** Of the interface, to `settleMs` after the end. */
  readonly wire: number
  /** The most resident memory, from before the file was sent. */
  readonly peakMb: { readonly sender: number; readonly receiver: number }
}

/** Bytes that repeat nowhere. */
function make(path: string, mib: number): void {
  const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16, mib % 251), Buffer.alloc(16))
  const zeros = Buffer.alloc(MIB)
  const file = openSync(path, 'w')
  for (let n = 0; n < mib; n++) writeSync(file, stream.update(zeros))
  closeSync(file)
}

async function transfer(people: People, { a, b, conversation }: Couple, mib: number, name: string, chat: 'none' | 'same' | 'both', settleMs: number): Promise<Transferred> {
  const [source, target] = [join(a.dir, name), join(b.dir, `copy of ${name}`)]
  make(source, mib)
  for (const { pid } of [a, b]) resetPeak(pid)
  const since = b.mark()
  const at = performance.now()
  const offering = a.offer(conversation, source, name)
  offering.catch(() => {})
  const offered = await b.offered(conversation, name, { since, timeoutMs: TRANSFER_MS })
  await offering
  const received = people.received(b)
  const [same, against]: [number[], number[]] = [[], []]
  let over: Promise<unknown> = Promise.resolve()
  const { result: ms, cpu } = await costs([a.pid, b.pid], async () => {
    const begin = performance.now()
    const fetching = b.fetch(conversation, offered, target, TRANSFER_MS)
    over = fetching.over
    over.catch(() => {})
    let done = false
    const end = fetching.done.then(({ atMs }) => {
      done = true
      return atMs - begin
    })
    end.catch(() => {
      done = true
    })
    // a text that outlives the transfer is waited for: its time is the transfer's fault
    const talk = async (from: Person, to: Person, times: number[], way: string) => {
      for (let n = 0; !done; n++) {
        const [text, mark, sending] = [`${name} ${way} ${n}`, to.mark(), performance.now()]
        const sent = from.send(conversation, text)
        times.push((await to.heard(conversation, text, { since: mark, timeoutMs: 300_000 })).atMs - sending)
        await sent
        await pause(TALK_PAUSE_MS)
      }
    }
    await Promise.all([end, chat === 'none' ? undefined : talk(a, b, same, 'with'), chat === 'both' ? talk(b, a, against, 'against') : undefined])
    return end
  })
  const peakMb = { sender: memoryMb(a.pid).peak, receiver: memoryMb(b.pid).peak }
  await pause(settleMs)
  const wire = (people.received(b) - received) / (mib * MIB)
  await over
  if (statSync(target).size !== mib * MIB) throw new Error(`${target}: ${statSync(target).size} bytes`)
  for (const path of [source, target]) rmSync(path, { force: true })
  return { rate: (mib * MIB) / 1e6 / (ms / 1000), offerMs: offered.atMs - at, cpu, same, against, wire, peakMb }
}

export async function files(people: People, run: Run): Promise<void> {
  const { quick, kinds, wanted, loops } = run
  const couples = {} as Couples
  for (const kind of kinds) {
    const [a, b] = await Promise.all([people.join(kind), people.join(kind)])
    couples[kind] = { a, b, conversation: (await befriend(a, b, 300)).conversation }
  }
  await loops.took('making contacts', couples.sdk.a, couples.sdk.b)
  if (wanted.has('file')) await rates(people, run, couples)
  if (wanted.has('hol')) {
    const quiet = lists()
    for (let n = 0; n < (quick ? 20 : 50); n++) {
      for (const kind of kinds) {
        const { a, b, conversation } = couples[kind]
        const [since, begin] = [b.mark(), performance.now()]
        const sent = a.send(conversation, `quiet ${n}`)
        quiet[kind].push((await b.heard(conversation, `quiet ${n}`, { since })).atMs - begin)
        await sent
      }
    }
    perKind('hol.message_quiet', 'ms', quiet, 'a text one way, no transfer', 'aim: at most 0.5')
    for (const mode of ['same', 'both'] as const) await behind(people, run, couples, mode)
  }
  await people.leave()
}

async function rates(people: People, { quick, full, kinds, loops }: Run, couples: Readonly<Couples>): Promise<void> {
  const before = { sender: memoryMb(couples.sdk.a.pid).rss, receiver: memoryMb(couples.sdk.b.pid).rss }
  let largest: Transferred | undefined
  for (const [name, mib, times, aim] of (quick ? [[64, 16, 2, 2], [512, 64, 1, 2]] : [[64, 64, 5, 2], [512, 512, 3, 2]]) as [number, number, number, number][]) {
    const got: Record<Kind, Transferred[]> = { sdk: [], daemon: [] }
    for (let n = 0; n < times; n++) {
      for (const kind of kinds) {
        got[kind].push(await transfer(people, couples[kind], mib, `file-${name}-${n}.bin`, 'none', 500))
        say(`${kind}: ${mib} MiB at ${got[kind].at(-1)?.rate.toFixed(1)} MB/s, ${got[kind].at(-1)?.wire.toFixed(4)} of it on the wire`)
      }
      await loops.took(`a file of ${mib} MiB`, couples.sdk.a, couples.sdk.b)
    }
    largest = got.sdk.at(-1)
    const each = (value: (of: Transferred) => number | undefined): Record<Kind, number[]> => ({ sdk: got.sdk.map((of) => value(of) ?? 0), daemon: got.daemon.map((of) => value(of) ?? 0) })
    const note = mib === name ? `${mib} MiB` : `${mib} MiB (small run)`
    perKind(`file.${name}`, 'MB/s', each(({ rate }) => rate), `${note}; download call to complete and checked`, `aim: at least ${aim}`)
    perKind(`file.${name}_offer`, 'ms', each(({ offerMs }) => offerMs), `${note}; send call to the announcement at the peer`)
    perKind(`file.${name}_cpu_sender`, 's', each(({ cpu }) => cpu[0]), `${note}; processor time during the transfer`)
    perKind(`file.${name}_cpu_receiver`, 's', each(({ cpu }) => cpu[1]), `${note}; processor time during the transfer`)
    if (got.daemon.length > 0) figure(`file.${name}_wire.daemon`, 'x', each(({ wire }) => wire).daemon, `${note}; bytes received : size of the file`)
  }
  const mib = full ? 2048 : quick ? 256 : 512
  const big = await transfer(people, couples.sdk, mib, 'file-big.bin', 'none', 500)
  await loops.took(`a file of ${mib} MiB`, couples.sdk.a, couples.sdk.b)
  say(`sdk: ${mib} MiB at ${big.rate.toFixed(1)} MB/s, announced after ${(big.offerMs / 1000).toFixed(1)} s`)
  figure('file.wire', 'x', [Math.max(big.wire, largest?.wire ?? 0)], `${mib} MiB; bytes received at the interface : size of the file; must be at most 1.01`)
  const growth = { sender: big.peakMb.sender - before.sender, receiver: big.peakMb.receiver - before.receiver }
  figure('file.rss_growth', 'MB', [Math.max(growth.sender, growth.receiver)], `${mib} MiB${full ? '' : ' (--full: 2 GiB)'}; the most resident memory less that before the first file; must be at most 100`, {
    sender: Math.round(growth.sender), receiver: Math.round(growth.receiver),
  })
}

async function behind(people: People, { quick, kinds, loops }: Run, couples: Readonly<Couples>, mode: 'same' | 'both'): Promise<void> {
  const mib = 64
  const [same, against, rate, traffic] = [lists(), lists(), lists(), lists()]
  for (let n = 0; n < (quick ? 1 : 3); n++) {
    for (const kind of kinds) {
      const got = await transfer(people, couples[kind], mib, `hol-${mode}-${n}.bin`, mode, 2000)
      same[kind].push(...got.same)
      against[kind].push(...got.against)
      rate[kind].push(got.rate)
      traffic[kind].push(got.wire)
    }
    await loops.took(`texts during a file, ${mode}`, couples.sdk.a, couples.sdk.b)
  }
  const note = `${mib} MiB, ${mode === 'same' ? 'only the sender of the file writes' : 'both sides write'}`
  perKind(`hol.${mode}.message_with_file`, 'ms', same, `text in the direction of the file during ${note}`, 'of the medians')
  if (kinds.length === 2) figure(`hol.${mode}.p95.ratio`, 'x', [quantile(same.sdk, 0.95) / quantile(same.daemon, 0.95)], `ours / daemon, 95th percentiles of message_with_file${mode === 'same' ? '; must be at most 0.2' : ''}`)
  if (mode === 'both') perKind('hol.both.message_against_file', 'ms', against, 'text against the direction of the file, at the same time', 'of the medians')
  perKind(`hol.${mode}.file`, 'MB/s', rate, `the file meanwhile: ${note}`, 'of the rates')
  perKind(`hol.${mode}.traffic`, 'x', traffic, 'bytes received from the download call to 2 s after the end : size of the file')
}
