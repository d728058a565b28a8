// Who a process is, for others that see only a file it wrote: number and start time, the pid namespace and boot they belong to, and the
// machine. A number alone means nothing: every container has a process 1, and numbers are used again. Proof: storage/profile-lock.test.ts.
import { readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'

export interface ProcessIdentity {
  readonly pid: number
  /** Start in kernel ticks since boot; empty, like `boot`, `space` and `machine`, where the system does not tell. */
  readonly start: string
  readonly boot: string
  /** The pid namespace. */
  readonly space: string
  readonly machine: string
  readonly host: string
}

/** `unknown`: it may live on another machine or in another container. */
export type Liveness = 'alive' | 'dead' | 'unknown'

/** The namespace outside all containers has this number on every Linux. */
const INITIAL_SPACE = 'pid:[4026531836]'

export async function ownIdentity(): Promise<ProcessIdentity> {
  const [start, boot, space, machine] = await Promise.all([startOf(process.pid), textOf('/proc/sys/kernel/random/boot_id'), readlink('/proc/self/ns/pid').catch(() => ''), textOf('/etc/machine-id')])
  return { pid: process.pid, start, boot, space, machine, host: hostname() }
}

export async function livenessOf(other: ProcessIdentity, self: ProcessIdentity): Promise<Liveness> {
  if (self.boot !== '' && other.boot !== '') {
    if (other.boot !== self.boot) {
      const sameMachine = other.machine !== '' && other.machine === self.machine && other.host === self.host && other.space === INITIAL_SPACE && self.space === INITIAL_SPACE
      return sameMachine ? 'dead' : 'unknown' // the machine was started anew
    }
    if (other.space !== self.space || self.space === '') return 'unknown'
    if (!exists(other.pid)) return 'dead'
    const start = await startOf(other.pid)
    return start === '' || start === other.start ? 'alive' : 'dead'
  }
  if (other.host !== self.host) return 'unknown'
  if (other.pid === self.pid) return 'alive'
  return exists(other.pid) ? 'unknown' : 'dead' // the number may have been used again
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
  return true
}

async function startOf(pid: number): Promise<string> {
  const stat = await textOf(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '' // field 22; the name in field 2 may hold spaces
}

async function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').then((text) => text.trim(), () => '')
}
