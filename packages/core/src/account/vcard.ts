// The vCard of profiles and contact requests: `KEY:VALUE` lines ended by LF, no escaping. Pure.
// docs/protocol/03 §6.7. Proof: account/codecs.test.ts.
import { limitError } from '../base/errors.ts'

const MAX_LENGTH = 1 << 20

/** Keys as written (`PHOTO;ENCODING=BASE64;TYPE=PNG`), first of equal keys wins; tolerates CRLF and folded lines. @throws ERR_LIMIT above 1 MiB */
export function parseVcard(text: string): Map<string, string> {
  if (text.length > MAX_LENGTH) throw limitError('vCard length', text.length, MAX_LENGTH)
  const out = new Map<string, string>() // bounded by MAX_LENGTH
  for (const line of text.replace(/\r\n?/g, '\n').replace(/\n[ \t]/g, '').split('\n')) {
    const colon = line.indexOf(':')
    if (colon < 1) continue
    const key = line.slice(0, colon)
    if (key !== 'BEGIN' && key !== 'END' && !out.has(key)) out.set(key, line.slice(colon + 1))
  }
  return out
}

/** Line breaks in values become spaces: they would break the card. */
export function printVcard(fields: ReadonlyMap<string, string>): string {
  const keys = [...fields.keys()].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  const lines = keys.map((key) => `${key}:${(fields.get(key) ?? '').replace(/[\r\n]+/g, ' ')}`)
  return ['BEGIN:VCARD', ...lines, 'END:VCARD', ''].join('\n')
}

/** Card of a display name. */
export function profileCard(displayName: string): string {
  return printVcard(new Map([['VERSION', '2.1'], ['FN', displayName]]))
}
