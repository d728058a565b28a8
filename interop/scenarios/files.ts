// Files between the daemon and nodes of ours: each direction, cut and resumed, not what was announced, gone; texts meanwhile.
import { createHash } from 'node:crypto'
import { closeSync, createReadStream, existsSync, openSync, readdirSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type Daemon, TRANSFER } from '../lib/daemon.ts'
import { run } from '../lib/namespaces.ts'
import { eventually, must, rejection, type Scenario, type Stage } from '../lib/scenario.ts'
import type { Sdk } from '../lib/sdk.ts'
import { hears, isSdk, oneHead, say, sdkStart, type Side, trio } from './sides.ts'

const MIB = 1 << 20

/** A file of bytes that repeat nowhere near; what it is called tells its size. */
function make(dir: string, name: string, size: number, seed = 1): string {
  const path = join(dir, name)
  const piece = Buffer.alloc(MIB)
  for (let i = 0, x = seed * 2654435761; i < MIB; i += 4) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0
    piece.writeInt32LE(x, i)
  }
  const file = openSync(path, 'w')
  for (let at = 0; at < size; at += MIB) {
    piece.writeUInt32LE(at / MIB, 0)
    writeSync(file, piece, 0, Math.min(MIB, size - at))
  }
  closeSync(file)
  return path
}

async function sha3(path: string): Promise<string> {
  const hash = createHash('sha3-512')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** What `from` sends is fetched by `to`: its SHA3-512 there. */
async function pass(from: Side, to: Side, conversation: string, path: string, name: string, timeoutMs = 60_000): Promise<string> {
  const { message, fileId } = await from.sendFile(conversation, path, name)
  return fetched(to, conversation, message, fileId, name, timeoutMs)
}

async function announced(side: Side, conversation: string, message: string): Promise<void> {
  if (isSdk(side)) await side.entry(conversation, ({ id }) => id === message)
  else await side.wait('SwarmMessageReceived', (args) => args[1] === conversation && (args[2] as { id?: string }).id === message)
}

async function fetched(to: Side, conversation: string, message: string, fileId: string, name: string, timeoutMs: number): Promise<string> {
  await announced(to, conversation, message)
  const target = join(to.dir, `got-${name}`)
  if (isSdk(to)) return (await to.download(conversation, message, target, timeoutMs)).sha3
  const since = to.mark()
  await to.downloadFile(conversation, message, fileId, target)
  await to.transfer(fileId, TRANSFER.finished, { since, timeoutMs })
  return sha3(await eventually('the file', () => existsSync(target) && target, 10_000))
}

/** Bytes that a host has sent. */
const sent = (stage: Stage, host: number) => Number(run(['ip', 'netns', 'exec', stage.net.name(host), 'cat', '/sys/class/net/eth0/statistics/tx_bytes']))
const slow = (stage: Stage, host: number, rate: string) => run(['ip', 'netns', 'exec', stage.net.name(host), 'tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', 'tbf', 'rate', rate, 'burst', '64kb', 'latency', '200ms'])
const fast = (stage: Stage, host: number) => run(['ip', 'netns', 'exec', stage.net.name(host), 'tc', 'qdisc', 'del', 'dev', 'eth0', 'root'])

/** Waits until about half of a file is at its receiver, wherever it keeps it. */
async function half(to: Side, name: string, size: number): Promise<void> {
  await eventually(`half of ${name}`, () => {
    if (isSdk(to)) return to.child.events.some(({ line }) => line.signal === 'transfer' && (line.args as unknown[])[2] === 'receive' && Number((line.args as unknown[])[4]) >= size / 2 && Number((line.args as unknown[])[5]) === size)
    return readdirSync(to.dir).some((one) => one.startsWith(`got-${name}`) && statSync(join(to.dir, one)).size >= size / 2)
  }, 120_000)
}

export const files: Scenario = {
  name: 'files',
  about: 'files of 1 B, 3 MiB and 32 MiB (full: 1 GiB) in each direction; cut at 50 % by either side and resumed; changed, gone; texts meanwhile',
  hosts: 4,
  budgetMs: { ci: 240_000, full: 1_800_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const big = stage.full ? 1024 * MIB : 32 * MIB
    const patience = stage.full ? 600_000 : 60_000
    const begin = await trio(stage)
    const { bootstrap, conversation } = begin
    let dana: Daemon = begin.dana
    let kim: Sdk = begin.kim
    const { kai } = begin
    const hosts = { dana: 2, kim: 3, kai: 4 } as const
    for (const [size, label] of [[1, '1 byte'], [3 * MIB, '3 MiB'], [big, stage.full ? '1 GiB' : '32 MiB']] as const) {
      for (const [from, to] of [[kim, dana], [dana, kim], [kim, kai]] as readonly (readonly [Side, Side])[]) {
        await stage.step(`SWM-28 ${label} from ${from.label} to ${to.label}: the same SHA3-512`, async () => {
          const name = `${size}-${from.label}-${to.label}.bin`
          const path = make(from.dir, name, size)
          const before = performance.now()
          must((await pass(from, to, conversation, path, name, patience)) === (await sha3(path)), 'other bytes')
          stage.note({ from: from.label, to: to.label, size, ms: Math.round(performance.now() - before) })
        }, { timeoutMs: patience + 60_000 })
      }
    }
    const cut = stage.full ? 256 * MIB : 16 * MIB
    const rate = stage.full ? '400mbit' : '40mbit'
    await stage.step('SWM-28 the daemon is killed when half of its file is at our Kim, and comes back: Kim gets the rest, and only that', async () => {
      const path = make(dana.dir, 'cut-1.bin', cut, 2)
      const { message } = await dana.sendFile(conversation, path, 'cut-1.bin')
      await announced(kim, conversation, message)
      slow(stage, hosts.dana, rate)
      const before = sent(stage, hosts.dana)
      const download = kim.download(conversation, message, join(kim.dir, 'got-cut-1.bin'), 120_000)
      download.catch(() => {})
      await half(kim, 'cut-1.bin', cut)
      dana.child.kill()
      await dana.child.exited
      dana = await stage.daemon('dana', hosts.dana)
      await dana.resume()
      must((await download).sha3 === (await sha3(path)), 'other bytes')
      fast(stage, hosts.dana)
      const wire = (sent(stage, hosts.dana) - before) / cut
      stage.note({ wireOverSize: Number(wire.toFixed(3)) })
      must(wire < 1.25, `${wire.toFixed(2)} × the size was sent`)
    }, { timeoutMs: 150_000 })
    await stage.step('SWM-28 our Kim is killed when half of its file is at the daemon, and comes back: the daemon gets the rest, and only that', async () => {
      const path = make(kim.dir, 'cut-2.bin', cut, 3)
      const { message, fileId } = await kim.sendFile(conversation, path, 'cut-2.bin')
      await announced(dana, conversation, message)
      slow(stage, hosts.kim, rate)
      const before = sent(stage, hosts.kim)
      const since = dana.mark()
      await dana.downloadFile(conversation, message, fileId, join(dana.dir, 'got-cut-2.bin'))
      await half(dana, 'cut-2.bin', cut)
      kim.child.kill()
      await kim.child.exited
      kim = await stage.sdk('kim', hosts.kim, sdkStart(bootstrap, 'kim'))
      // the daemon asks again when it next fetches from us, once it has noticed the end of the old link
      await dana.transfer(fileId, TRANSFER.closedByHost, { since, timeoutMs: 60_000 })
      await kim.send(conversation, 'here I am again')
      await dana.transfer(fileId, TRANSFER.finished, { since, timeoutMs: 120_000 })
      fast(stage, hosts.kim)
      must((await sha3(join(dana.dir, 'got-cut-2.bin'))) === (await sha3(path)), 'other bytes')
      const wire = (sent(stage, hosts.kim) - before) / cut
      stage.note({ wireOverSize: Number(wire.toFixed(3)) })
      must(wire < 1.25, `${wire.toFixed(2)} × the size was sent`)
    }, { timeoutMs: 150_000 })
    await stage.step('SWM-28 our Kim is killed while it fetches, and asks again after its restart: it gets the rest, and only that', async () => {
      const path = make(dana.dir, 'cut-3.bin', cut, 4)
      const { message } = await dana.sendFile(conversation, path, 'cut-3.bin')
      await announced(kim, conversation, message)
      slow(stage, hosts.dana, rate)
      const before = sent(stage, hosts.dana)
      kim.download(conversation, message, join(kim.dir, 'got-cut-3.bin'), 120_000).catch(() => {})
      await half(kim, 'cut-3.bin', cut)
      kim.child.kill()
      await kim.child.exited
      kim = await stage.sdk('kim', hosts.kim, sdkStart(bootstrap, 'kim'))
      must((await kim.download(conversation, message, join(kim.dir, 'got-cut-3.bin'), 120_000)).sha3 === (await sha3(path)), 'other bytes')
      fast(stage, hosts.dana)
      const wire = (sent(stage, hosts.dana) - before) / cut
      stage.note({ wireOverSize: Number(wire.toFixed(3)) })
      must(wire < 1.25, `${wire.toFixed(2)} × the size was sent`)
    }, { timeoutMs: 150_000 })
    await stage.step('texts are heard while a file is on its way, both ways', async () => {
      const path = make(kim.dir, 'meanwhile.bin', big, 5)
      const { message, fileId } = await kim.sendFile(conversation, path, 'meanwhile.bin')
      await announced(dana, conversation, message)
      slow(stage, hosts.kim, stage.full ? '800mbit' : '80mbit')
      const since = dana.mark()
      await dana.downloadFile(conversation, message, fileId, join(dana.dir, 'got-meanwhile.bin'))
      const delays: number[] = []
      for (let i = 0; i < 5; i++) {
        for (const [from, to] of [[kim, dana], [dana, kim]] as const) {
          const start = performance.now()
          await say(from, conversation, `meanwhile ${i} of ${from.label}`)
          await hears(to, conversation, `meanwhile ${i} of ${from.label}`)
          delays.push(Math.round(performance.now() - start))
        }
      }
      const during = !dana.child.events.slice(since).some(({ line }) => line.signal === 'DataTransferEvent' && (line.args as unknown[])[3] === fileId && (line.args as unknown[])[4] === TRANSFER.finished)
      await dana.transfer(fileId, TRANSFER.finished, { since, timeoutMs: patience })
      fast(stage, hosts.kim)
      stage.note({ delays, allDuring: during })
      must(Math.max(...delays) < 3000, `a text took ${Math.max(...delays)} ms`)
    }, { timeoutMs: patience + 60_000 })
    await stage.step('SWM-28 what the daemon changed since is not taken: a typed error, no file', async () => {
      const path = make(dana.dir, 'changed.bin', 100_000, 6)
      const { message } = await dana.sendFile(conversation, path, 'changed.bin')
      await announced(kim, conversation, message)
      make(dana.dir, 'changed.bin', 100_000, 7)
      const refused = await rejection(kim.download(conversation, message, join(kim.dir, 'got-changed.bin'), 8000))
      stage.note({ changed: refused.code })
      must(['ERR_TIMEOUT', 'ERR_FILE_HASH', 'ERR_FILE_GONE'].includes(refused.code ?? ''), `code ${refused.code}: ${refused.message}`)
      must(!existsSync(join(kim.dir, 'got-changed.bin')), 'there is a file')
    })
    await stage.step('SWM-28 a file of ours that changed since is not served', async () => {
      const path = make(kim.dir, 'ours-changed.bin', 100_000, 8)
      const { message, fileId } = await kim.sendFile(conversation, path, 'ours-changed.bin', { keep: 'reference' })
      await announced(dana, conversation, message)
      make(kim.dir, 'ours-changed.bin', 100_000, 9)
      await dana.downloadFile(conversation, message, fileId, join(dana.dir, 'got-ours-changed.bin'))
      const refused = await rejection(dana.transfer(fileId, TRANSFER.finished, { timeoutMs: 4000 }))
      must(refused.message.includes('no DataTransferEvent') && !existsSync(join(dana.dir, 'got-ours-changed.bin')), 'the daemon got it')
      await say(kim, conversation, 'the link lives on')
      await hears(dana, conversation, 'the link lives on')
    })
    for (const [from, to] of [[dana, kim], [kim, dana]] as readonly (readonly [Side, Side])[]) {
      await stage.step(`a file that ${from.label} took back is shown as deleted by ${to.label}, and cannot be fetched any more`, async () => {
        const name = `gone-${from.label}.bin`
        const { message, fileId } = await from.sendFile(conversation, make(from.dir, name, 1000, 10), name)
        await announced(to, conversation, message)
        await from.edit(conversation, message, '')
        await eventually('its deletion there', async () =>
          isSdk(to) ? (await to.views(conversation)).find(({ id }) => id === message)?.deleted : (await to.load(conversation)).find(({ id }) => id === message)?.body.tid === '')
        if (isSdk(to)) {
          const refused = await rejection(to.download(conversation, message, join(to.dir, `got-${name}`), 5000))
          must(refused.code === 'ERR_FILE_GONE', `code ${refused.code}: ${refused.message}`)
        } else await to.downloadFile(conversation, message, fileId, join(to.dir, `got-${name}`))
        await oneHead([dana, kim, kai], conversation)
        must(!existsSync(join(to.dir, `got-${name}`)), 'there is a file')
      })
    }
  },
}
