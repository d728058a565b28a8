// The ICE description of a device: credentials and candidate lines. Pure. docs/protocol/02 §2.1. Proof: wire/ice-text.test.ts.
import { codecError } from '@jamikit/core/base'
import { MAX_REMOTE_CANDIDATES } from '../defaults.ts'
import { addressBytes } from './address.ts'

export type TcpType = 'active' | 'passive' | 'so'
export type CandidateType = 'host' | 'srflx' | 'prflx' | 'relay'

export interface Candidate {
  readonly foundation: string
  readonly component: number
  readonly priority: number
  readonly host: string
  readonly port: number
  readonly family: 4 | 6
  readonly type: CandidateType
  readonly tcpType: TcpType
}

export interface IceDescription {
  readonly ufrag: string
  readonly password: string
  readonly candidates: readonly Candidate[]
}

const TYPES: ReadonlySet<string> = new Set(['host', 'srflx', 'prflx', 'relay'])
const TCP_TYPES: ReadonlySet<string> = new Set(['active', 'passive', 'so'])

export function printIceDescription(d: IceDescription): string {
  const lines = d.candidates.map((c) => `${c.foundation} ${c.component} TCP ${c.priority} ${c.host} ${c.port} typ ${c.type} tcptype ${c.tcpType}`)
  return `${[d.ufrag, d.password, ...lines].join('\n')}\n`
}

function familyOf(host: string): 4 | 6 | undefined {
  const bytes = addressBytes(host)
  return bytes && (bytes.length === 4 ? 4 : 6)
}

/** Undefined for lines that are not usable TCP candidates of component 1; what follows tcptype is ignored. */
export function parseCandidate(line: string): Candidate | undefined {
  const [foundation = '', component, transport, priority, host = '', port, typ, type = '', key, tcpType = ''] = line.trim().split(/ +/)
  const family = familyOf(host)
  const numbers = [component, priority, port].map((n) => (n !== undefined && /^\d{1,10}$/.test(n) ? Number(n) : Number.NaN))
  const [componentId = Number.NaN, prio = Number.NaN, portNumber = Number.NaN] = numbers
  if (transport !== 'TCP' || typ !== 'typ' || key !== 'tcptype' || !family || !TYPES.has(type) || !TCP_TYPES.has(tcpType)) return undefined
  if (componentId !== 1 || !(prio <= 0xffffffff) || !(portNumber >= 1 && portNumber <= 65_535) || foundation.length < 1 || foundation.length > 31) return undefined
  return { foundation, component: componentId, priority: prio, host, port: portNumber, family, type: type as CandidateType, tcpType: tcpType as TcpType }
}

/** @throws ERR_CODEC when credentials are missing or out of range */
export function parseIceDescription(text: string): IceDescription {
  const [ufrag = '', password = '', ...lines] = text.split('\n').filter((line) => line !== '')
  if (!/^[\x21-\x7e]{4,256}$/.test(ufrag)) throw codecError('ufrag', `${ufrag.length} characters`, '4 to 256 printable characters')
  if (!/^[\x21-\x7e]{16,256}$/.test(password)) throw codecError('ice password', `${password.length} characters`, '16 to 256 printable characters')
  const candidates: Candidate[] = []
  for (const line of lines) {
    const candidate = parseCandidate(line)
    if (candidate && candidates.length < MAX_REMOTE_CANDIDATES) candidates.push(candidate)
  }
  return { ufrag, password, candidates }
}
