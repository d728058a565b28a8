// OpenDHT 2.4.12 (Debian's library) as a peer, behind JSON lines (interop/peers/opendht), and Debian's dhtnode as a plain
// bootstrap node.
import { join } from 'node:path'
import { type Event, type Line, LineChild, PeerError } from './line-child.ts'
import { peersDir } from './peers-dir.ts'

export interface OpenDhtValue {
  readonly vid: string
  readonly data: Uint8Array
  readonly userType: string
  readonly signed: boolean
  readonly signatureValid: boolean
  /** Key id of the owner. */
  readonly owner: string
  readonly type: number
}

function openDhtValue(raw: unknown): OpenDhtValue {
  const value = (typeof raw === 'object' && raw !== null ? raw : {}) as Line
  return {
    vid: String(value.vid),
    data: new Uint8Array(Buffer.from(String(value.data ?? ''), 'base64')),
    userType: String(value.userType ?? ''),
    signed: value.signed === true,
    signatureValid: value.signatureValid === true,
    owner: String(value.owner ?? ''),
    type: Number(value.type ?? 0),
  }
}

export class OpenDht {
  readonly child: LineChild
  readonly label: string
  port = 0
  nodeId = ''
  /** SHA-1 id of its identity's key. */
  identity = ''

  constructor(options: { label: string; argv: [string, ...string[]]; dir: string; trace?: (label: string, event: Event) => void }) {
    this.label = options.label
    this.child = new LineChild({
      label: options.label,
      argv: options.argv,
      stderrFile: join(options.dir, `${options.label}.stderr.log`),
      ...(options.trace === undefined ? {} : { trace: options.trace }),
    })
  }

  /** Program and arguments of the driver. */
  static readonly driver: readonly string[] = ['python3', join(peersDir, 'opendht', 'dht_peer.py'), '--backend', 'cpp']

  async op(name: string, args: Line = {}, timeoutMs = 60_000): Promise<Line> {
    const reply = await this.child.request({ op: name, ...args }, timeoutMs)
    if (reply.ok !== true) throw new PeerError(`${this.label}: ${name}: ${String(reply.error ?? 'not ok')}`)
    return reply
  }

  async start(args: Line): Promise<void> {
    await this.child.waitEvent((line) => line.event === 'ready', 'ready event')
    const reply = await this.op('start', args)
    this.port = Number(reply.port4) || Number(reply.port6)
    this.nodeId = String(reply.nodeId)
    this.identity = String(reply.identity)
  }

  connected(family: 'ipv4' | 'ipv6', timeoutMs = 30_000): Promise<Event> {
    return this.child.waitEvent((line) => line.event === 'status' && line[family] === 'connected', `status ${family} connected`, { timeoutMs })
  }

  async get(key: string): Promise<OpenDhtValue[]> {
    const reply = await this.op('get', { key })
    return Array.isArray(reply.values) ? reply.values.map(openDhtValue) : []
  }

  async listen(key: string, name: string): Promise<void> {
    await this.op('listen', { key, listen: name })
  }

  /** The first value that a listen delivers and `test` accepts. */
  async delivered(name: string, test: (value: OpenDhtValue) => boolean, options: { since?: number; timeoutMs?: number; expired?: boolean } = {}): Promise<OpenDhtValue> {
    let found: OpenDhtValue | undefined
    await this.child.waitEvent(
      (line) => {
        if (line.event !== 'value' || line.listen !== name || line.expired !== (options.expired ?? false) || !Array.isArray(line.values)) return false
        found = line.values.map(openDhtValue).find(test)
        return found !== undefined
      },
      `value of listen ${name}`,
      options,
    )
    if (found === undefined) throw new Error(`${this.label}: listen ${name} delivered nothing`)
    return found
  }

  async stop(): Promise<void> {
    if (!this.child.running) return
    this.child.request({ op: 'shutdown' }).catch(() => {})
    this.child.endInput()
    await this.child.ended(15_000)
  }
}
