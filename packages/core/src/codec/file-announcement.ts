// The members of a commit that announces a file, and the file id that comes of them. Pure; what a peer wrote is checked before it is used.
// docs/protocol/04 §1.6, §7.1. Proof: codec/file-announcement.test.ts.

/** Wire type of announcements, and of their deletion. */
export const FILE_TYPE = 'application/data-transfer+json'
/** `tid` and `totalSize`, both exact numbers. */
const MAX_TID = 2 ** 53
/** Of a name for people: room for what a program puts before or after it. */
const MAX_NAME_BYTES = 240

/** An announced file. */
export interface FileAnnouncement {
  /** What its sender calls it, as written: for people only, never a path. */
  readonly displayName: string
  /** Bytes. */
  readonly sizeBytes: number
  /** SHA3-512 of them, 128 lower-case hex digits. */
  readonly sha3: string
  /** 1 to 2^53, decimal. */
  readonly tid: string
}

const whole = (text: string | undefined, max: number) => (text !== undefined && /^\d{1,16}$/.test(text) && Number(text) <= max ? Number(text) : undefined)

/** Undefined when it announces no file that can be asked for: another type, a deletion, a member that is missing or wrong. */
export function fileAnnouncementOf(entry: { readonly type: string; readonly fields: Readonly<Record<string, string>> }): FileAnnouncement | undefined {
  const { displayName = '', sha3sum = '', tid = '', totalSize, edit } = entry.fields
  if (entry.type !== FILE_TYPE || edit !== undefined) return undefined
  const sizeBytes = whole(totalSize, Number.MAX_SAFE_INTEGER)
  const number = whole(tid, MAX_TID)
  if (sizeBytes === undefined || number === undefined || number < 1 || !/^[0-9a-f]{128}$/i.test(sha3sum)) return undefined
  return { displayName, sizeBytes, sha3: sha3sum.toLowerCase(), tid }
}

/** Which announcement is deleted by this one. */
export function deletedFileOf(entry: { readonly type: string; readonly fields: Readonly<Record<string, string>> }): string | undefined {
  const { edit, tid = '' } = entry.fields
  return entry.type === FILE_TYPE && edit !== undefined && tid === '' ? edit : undefined
}

/** `<commit>_<tid>[.<ext>]`: the text after the last dot, unless it is empty or of 8 bytes or more. */
export function fileIdOf(message: string, { displayName, tid }: Pick<FileAnnouncement, 'displayName' | 'tid'>): string {
  const dot = displayName.lastIndexOf('.')
  const extension = dot < 0 ? '' : displayName.slice(dot + 1)
  return extension === '' || new TextEncoder().encode(extension).length >= 8 ? `${message}_${tid}` : `${message}_${tid}.${extension}`
}

/**
 * A display name as a plain file name: no directory, nothing that a shell, a terminal or a file system takes for something else. Two files
 * may have the same.
 */
export function plainName(displayName: string): string {
  const last = displayName.split(/[/\\]/).pop() ?? ''
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must go
  const clean = last.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff<>:"|?*]/g, '').replace(/^[.\s]+|[.\s]+$/g, '')
  const cut = cutName(clean)
  return cut === '' || /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(cut) ? `file${cut === '' ? '' : `-${cut}`}` : cut
}

/** At most MAX_NAME_BYTES, as file systems have it; its extension stays. */
function cutName(name: string): string {
  const bytes = (text: string) => new TextEncoder().encode(text).length
  if (bytes(name) <= MAX_NAME_BYTES) return name
  const extension = /\.[^.\s]{1,10}$/.exec(name)?.[0] ?? ''
  let [stem, left] = ['', MAX_NAME_BYTES - bytes(extension)]
  for (const character of name.slice(0, name.length - extension.length)) {
    left -= bytes(character)
    if (left < 0) break
    stem += character
  }
  return stem + extension
}

/** A name of ours for a file of a peer: nothing in it was chosen by anybody but its extension, of letters and digits. */
export function ownName(message: string, displayName: string): string {
  const extension = /\.([a-z0-9]{1,7})$/i.exec(displayName)?.[1]
  return extension === undefined ? message : `${message}.${extension.toLowerCase()}`
}
