// From errors of node:net and node:dgram to ours. Proof: io/node-network.test.ts.
import { JamiError } from '../base/errors.ts'

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | undefined)?.code ?? 'unknown')
}

/** A local address or port that cannot be had: ERR_UNSUPPORTED when the family or address is not here, else ERR_ARGUMENT. */
export function bindError(error: unknown, what: string): JamiError {
  const code = codeOf(error)
  const missing = ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL', 'ENOTFOUND'].includes(code)
  return new JamiError(missing ? 'ERR_UNSUPPORTED' : 'ERR_ARGUMENT', `${what} address: got ${code}, allowed a free local address`, { cause: error, details: { code } })
}

/** A connection that could not be made. */
export function connectError(error: unknown, to: { host: string; port: number }): JamiError {
  return new JamiError('ERR_NO_ROUTE', `no TCP connection to ${to.host} port ${to.port}: ${codeOf(error)}`, { cause: error, details: { code: codeOf(error) } })
}

/** A connection that broke. */
export function lostError(error: unknown): JamiError {
  if (JamiError.is(error, 'ERR_LINK_LOST')) return error
  return new JamiError('ERR_LINK_LOST', 'the TCP connection is gone', error === undefined ? {} : { cause: error })
}

/** @throws ERR_ARGUMENT */
export function checkPort(port: number, min: 0 | 1): void {
  if (!Number.isInteger(port) || port < min || port > 65_535) throw new JamiError('ERR_ARGUMENT', `port: got ${port}, allowed ${min} to 65535`)
}
