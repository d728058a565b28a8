// The vCard of profiles and contact requests. Written as Jami writes it: `KEY:VALUE` lines ended by LF, no escaping. Read as anybody
// does: 2.1, 3.0 and 4.0, folded, quoted-printable, in UTF-8 or Latin-1; one bad line costs itself. Pure.
// docs/protocol/03 §6.7; RFC 6350 §3, RFC 2426, vCard 2.1 §2.1. Proof: account/vcard.test.ts.
import { limitError } from '../base/errors.ts'
import { joinBytes, utf8 } from '../codec/bytes.ts'
import { cutText, wellFormed } from '../codec/text.ts'

const MAX_LENGTH = 1 << 20
/** As they lie in the card, continuations too: a picture that fills it, folded, has 14,000. */
const MAX_LINES = 20_000
/** Characters of a name that a peer gives itself. */
export const MAX_PEER_NAME = 200
const [LF, CR, SPACE, TAB, EQUALS] = [0x0a, 0x0d, 0x20, 0x09, 0x3d]
const lossy = new TextDecoder('utf-8', { ignoreBOM: true })
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

interface Line {
  /** As written: `item1.FN;CHARSET=UTF-8`. */
  readonly key: string
  /** Upper case, without group and parameters. */
  readonly name: string
  readonly parameters: string
  readonly value: Uint8Array
}

/**
 * Values by key as written (`PHOTO;ENCODING=BASE64;TYPE=PNG`) and by plain upper-case name (`FN`), where the value is decoded; the first
 * of equal keys wins. @throws ERR_LIMIT above 1 MiB
 */
export function parseVcard(card: string | Uint8Array): Map<string, string> {
  if (card.length > MAX_LENGTH) throw limitError('vCard length', card.length, MAX_LENGTH)
  const out = new Map<string, string>() // bounded by MAX_LENGTH and MAX_LINES
  const bytes = typeof card === 'string' ? utf8(wellFormed(card)) : card
  let escaped = false
  for (const { key, name, parameters, value } of linesOf(bytes)) {
    if (name === 'BEGIN' || name === 'END') continue
    if (name === 'VERSION') escaped = lossy.decode(value).trim() >= '3' // 2.1 and Jami escape nothing
    if (!out.has(key)) out.set(key, decoded('', value))
    if (name !== key && !out.has(name)) out.set(name, escaped ? unescaped(decoded(parameters, value)) : decoded(parameters, value))
    else if (escaped && name === key && out.get(key)?.includes('\\')) out.set(key, unescaped(decoded('', value)))
  }
  return out
}

/** The name that somebody's card gives: FN, else N, one line without control and direction characters, cut. Undefined without one. */
export function displayNameOf(card: Uint8Array): string | undefined {
  try {
    const fields = parseVcard(card)
    const name = clean(fields.get('FN') ?? '') || clean(fullName(fields.get('N') ?? ''))
    return name === '' ? undefined : name
  } catch {
    return undefined // more than a card may have
  }
}

/** `family;given;additional;prefix;suffix`, in the order of speech. */
function fullName(n: string): string {
  const [family = '', given = '', ...others] = n.split(';')
  return [given, ...others.slice(0, 1), family].join(' ')
}

function clean(text: string): string {
  return cutText(text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ').replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '').replace(/ {2,}/g, ' ').trim(), MAX_PEER_NAME).trim()
}

/** Folded lines (a break and white space) joined byte by byte, as a fold may fall into a character; quoted-printable ones at their soft breaks. */
function* linesOf(bytes: Uint8Array): Iterable<Line> {
  let start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
  let parts: Uint8Array[] = [] // bounded by MAX_LINES
  let quoted: boolean | undefined
  for (let count = 0; start < bytes.length && count < MAX_LINES; count++) {
    let end = start
    while (end < bytes.length && bytes[end] !== LF && bytes[end] !== CR) end++
    let next = end + 1
    if (bytes[end] === CR && bytes[next] === LF) next++
    const text = bytes.subarray(start, end)
    start = next
    if (text[text.length - 1] === EQUALS && (quoted ??= isQuoted(parts[0] ?? text))) {
      parts.push(text.subarray(0, -1))
      continue
    }
    parts.push(text)
    const folded = bytes[start] === SPACE || bytes[start] === TAB
    if (folded) {
      start++
      continue
    }
    const line = lineOf(joinBytes(parts))
    parts = []
    quoted = undefined
    if (line) yield line
  }
  const last = parts.length > 0 ? lineOf(joinBytes(parts)) : undefined
  if (last) yield last
}

const isQuoted = (line: Uint8Array) => /^[^:]*;(ENCODING=)?QUOTED-PRINTABLE[;:]/i.test(lossy.decode(line.subarray(0, 200)))

function lineOf(bytes: Uint8Array): Line | undefined {
  const colon = bytes.indexOf(0x3a)
  if (colon < 1) return undefined
  const key = lossy.decode(bytes.subarray(0, colon))
  const [, name = '', parameters = ''] = /^(?:[\w-]+\.)?([^;]*)(.*)$/s.exec(key) ?? []
  return { key, name: name.trim().toUpperCase(), parameters: parameters.toUpperCase(), value: bytes.subarray(colon + 1) }
}

function decoded(parameters: string, value: Uint8Array): string {
  const bytes = parameters.includes('QUOTED-PRINTABLE') ? unquoted(value) : value
  if (/CHARSET="?(ISO-8859-1|ISO-8859-15|LATIN1|WINDOWS-1252)/.test(parameters)) return new TextDecoder('windows-1252').decode(bytes)
  try {
    return strict.decode(bytes)
  } catch {
    return lossy.decode(bytes)
  }
}

function unquoted(value: Uint8Array): Uint8Array {
  const out: number[] = [] // bounded by the value
  for (let at = 0; at < value.length; at++) {
    const code = value[at] === EQUALS ? Number.parseInt(String.fromCharCode(value[at + 1] ?? 0, value[at + 2] ?? 0), 16) : Number.NaN
    out.push(Number.isNaN(code) ? (value[at] as number) : code)
    if (!Number.isNaN(code)) at += 2
  }
  return Uint8Array.from(out)
}

/** The escapes of vCard 3 and 4. */
function unescaped(text: string): string {
  return text.replace(/\\([\\,;:nN])/g, (_, c: string) => (c === 'n' || c === 'N' ? '\n' : c))
}

/** Line breaks in values become spaces: they would break the card. Lone surrogates are replaced: strict readers refuse the card. */
export function printVcard(fields: ReadonlyMap<string, string>): string {
  const keys = [...fields.keys()].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  const lines = keys.map((key) => `${key}:${wellFormed(fields.get(key) ?? '').replace(/[\r\n]+/g, ' ')}`)
  return ['BEGIN:VCARD', ...lines, 'END:VCARD', ''].join('\n')
}

/** Card of a display name. */
export function profileCard(displayName: string): string {
  return printVcard(new Map([['VERSION', '2.1'], ['FN', displayName]]))
}
