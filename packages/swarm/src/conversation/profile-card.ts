// The card of a conversation, `profile.vcf`: title, description, picture. Written byte for byte as the daemon writes it; read as anybody
// might have written it, one bad line costs itself. Pure. docs/protocol/04 §2.1. Proof: conversation/profile-card.test.ts (captured bytes).
import { JamiError } from '@jamikit/core/base'
import { cutText, fromBase64, toBase64, utf8, wellFormed } from '@jamikit/core/codec'

/** A card: what we write at most, and how much of another's is looked at. */
export const MAX_PROFILE_BYTES = 2 << 20
/** Characters of a title and of a description: written at most, read at most. */
export const MAX_TITLE = 1_000
export const MAX_DESCRIPTION = 10_000

export interface ProfileCard {
  readonly title?: string
  readonly description?: string
  /** A picture file (PNG or JPEG), whole. */
  readonly avatar?: Uint8Array
  /** Who hosts the conversation's calls; kept as it is. */
  readonly rdvAccount?: string
  readonly rdvDevice?: string
}

/** A value is one line: what would break the card becomes a space. */
const line = (text: string): string => wellFormed(text).replace(/\r\n|[\r\n\0]/g, ' ')

/**
 * Values that are left out or empty are not written. @throws ERR_ARGUMENT when a text is too long, ERR_LIMIT when the card is (the picture)
 */
export function printProfile(card: ProfileCard): Uint8Array {
  const text = (name: 'title' | 'description', max: number): string => {
    const value = card[name] ?? ''
    if (value.length > max) throw new JamiError('ERR_ARGUMENT', `${name}: got ${value.length} characters, allowed ${max}`, { details: { argument: name, got: value.length, allowed: max } })
    return line(value)
  }
  const row = (key: string, value = ''): string => (value === '' ? '' : `${key}:${value}\n`)
  const picture = (card.avatar?.length ?? 0) * 4 / 3
  if (picture > MAX_PROFILE_BYTES) throw tooLong(picture)
  const avatar = card.avatar === undefined || card.avatar.length === 0 ? '' : `:${toBase64(card.avatar)}`
  const bytes = utf8([
    'BEGIN:VCARD\nVERSION:2.1\n', row('FN', text('title', MAX_TITLE)), row('DESCRIPTION', text('description', MAX_DESCRIPTION)), `PHOTO;ENCODING=BASE64${avatar}\n`,
    row('RDV_ACCOUNT', line(card.rdvAccount ?? '')), '\n', row('RDV_DEVICE', line(card.rdvDevice ?? '')), '\n', 'END:VCARD',
  ].join(''))
  if (bytes.length > MAX_PROFILE_BYTES) throw tooLong(bytes.length)
  return bytes
}

function tooLong(got: number): JamiError {
  return new JamiError('ERR_LIMIT', `profile: got ${Math.ceil(got)} bytes with the picture, allowed ${MAX_PROFILE_BYTES}`, { details: { got: Math.ceil(got), allowed: MAX_PROFILE_BYTES } })
}

const FIELDS: Readonly<Record<string, 'title' | 'description' | 'avatar' | 'rdvAccount' | 'rdvDevice'>> = {
  FN: 'title', DESCRIPTION: 'description', PHOTO: 'avatar', RDV_ACCOUNT: 'rdvAccount', RDV_DEVICE: 'rdvDevice',
}
/** What is kept of a text; a picture has all of the card. */
const LENGTHS: Readonly<Record<string, number>> = { title: MAX_TITLE, description: MAX_DESCRIPTION, rdvAccount: 128, rdvDevice: 128 }
const lossy = new TextDecoder('utf-8')

/** Never throws: what cannot be read is left out. The first of equal keys wins; folded lines and any line end are read. */
export function parseProfile(bytes: Uint8Array): ProfileCard {
  const out: { -readonly [K in keyof ProfileCard]: ProfileCard[K] } = {}
  const whole = bytes.length <= MAX_PROFILE_BYTES
  const seen = new Set<string>() // bounded by FIELDS
  const text = lossy.decode(bytes.subarray(0, MAX_PROFILE_BYTES)).replace(/\r\n?|\n/g, '\n').replace(/\n[ \t]/g, '')
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf('\n', at)
    const end = found < 0 ? text.length : found
    const colon = text.indexOf(':', at)
    const key = colon < 0 || colon > end ? '' : text.slice(at, colon)
    const field = FIELDS[(/^(?:[\w-]+\.)?([A-Za-z_]+)(?:;|$)/.exec(key.slice(0, 200))?.[1] ?? '').toUpperCase()]
    if (field !== undefined && !seen.has(field)) {
      seen.add(field)
      const value = text.slice(colon + 1, end)
      const avatar = field === 'avatar' && (found >= 0 || whole) ? picture(value) : undefined
      if (avatar) out.avatar = avatar
      else if (field !== 'avatar' && value !== '') out[field] = cutText(shown(value, LENGTHS[field] ?? 0), LENGTHS[field] ?? 0)
    }
    at = end + 1
  }
  return out
}

/** As one line: what terminals and logs would take for commands, or for another line, becomes a space. */
function shown(value: string, max: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
  return value.slice(0, 2 * max).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ')
}

function picture(value: string): Uint8Array | undefined {
  try {
    return value === '' ? undefined : fromBase64(value)
  } catch {
    return undefined
  }
}
