// Makes every attempt to open a real socket throw, below all imports: what a test does then happens in memory or not at all.
import { Socket as DatagramSocket } from 'node:dgram'
import { Server, Socket } from 'node:net'

const attempts: string[] = []

function forbid(owner: object, name: string, what: string): void {
  Object.defineProperty(owner, name, {
    configurable: true,
    value: () => {
      attempts.push(what)
      throw new Error(`a test of the simulated network opened a real socket: ${what}`)
    },
  })
}

/** From now on in this process (each test file has its own). */
export function forbidSockets(): void {
  forbid(Socket.prototype, 'connect', 'net.Socket.connect') // also below tls.connect, http and fetch's fallbacks
  forbid(Server.prototype, 'listen', 'net.Server.listen')
  forbid(DatagramSocket.prototype, 'bind', 'dgram.Socket.bind')
  forbid(DatagramSocket.prototype, 'send', 'dgram.Socket.send')
  forbid(DatagramSocket.prototype, 'connect', 'dgram.Socket.connect')
}

/** What was attempted, and what the process has open in spite of it. */
export function socketUse(): string[] {
  return [...attempts, ...process.getActiveResourcesInfo().filter((name) => /^(TCP|UDP)/.test(name))]
}
