// PEM blocks (RFC 7468) out of text or bytes, with bounds. Pure. Proof: identity/certificate.test.ts.
import { codecError, limitError } from '../base/errors.ts'
import { fromBase64, toBase64 } from '../codec/bytes.ts'

/** DER of each block with this label, in order. @throws ERR_CODEC, ERR_LIMIT when there are more than `maxBlocks` */
export function pemBlocks(text: string, label: string, maxBlocks: number): Uint8Array[] {
  const begin = `-----BEGIN ${label}-----`
  const end = `-----END ${label}-----`
  const out: Uint8Array[] = []
  let at = text.indexOf(begin)
  while (at >= 0) {
    const stop = text.indexOf(end, at)
    if (stop < 0) throw codecError(`PEM ${label}`, 'no end line', 'an end line')
    if (out.length >= maxBlocks) throw limitError(`PEM ${label} blocks`, out.length + 1, maxBlocks)
    out.push(fromBase64(text.slice(at + begin.length, stop)))
    at = text.indexOf(begin, stop)
  }
  return out
}

/** With a final line break. */
export function toPem(der: Uint8Array, label: string): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/** One character per byte, for looking at bytes that may be PEM. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
