import { describe, expect, it } from 'vitest'
import { deletedFileOf, fileAnnouncementOf, fileIdOf, FILE_TYPE, ownName, plainName } from './file-announcement.ts'

const commit = 'f'.repeat(40)
const fields = { displayName: 'a.tar.gz', sha3sum: 'A'.repeat(128), tid: '6147910008623250', totalSize: '581' }
const read = (changed: Record<string, string | undefined>) =>
  fileAnnouncementOf({ type: FILE_TYPE, fields: Object.fromEntries(Object.entries({ ...fields, ...changed }).filter((entry): entry is [string, string] => entry[1] !== undefined)) })

describe('announcements of files', () => {
  it('reads what is announced; the hash in lower case', () => {
    expect(read({})).toEqual({ displayName: 'a.tar.gz', sizeBytes: 581, sha3: 'a'.repeat(128), tid: '6147910008623250' })
    expect(read({ totalSize: '0' })?.sizeBytes).toBe(0)
    expect(read({ totalSize: '9007199254740991' })?.sizeBytes).toBe(Number.MAX_SAFE_INTEGER)
    expect(read({ tid: '9007199254740992' })?.tid).toBe('9007199254740992')
  })

  it.each([
    ['no size', { totalSize: undefined }], ['a size that is no number', { totalSize: 'many' }], ['a negative size', { totalSize: '-1' }], ['a size with a point', { totalSize: '1.5' }],
    ['a size that no number holds', { totalSize: '9007199254740993' }], ['a size in hex', { totalSize: '0x10' }], ['no tid', { tid: undefined }], ['an empty tid', { tid: '' }], ['tid 0', { tid: '0' }],
    ['a tid with a path', { tid: '1/../2' }], ['a tid beyond 2^53', { tid: '9007199254740993000' }], ['no hash', { sha3sum: undefined }], ['a short hash', { sha3sum: 'a'.repeat(127) }],
    ['a hash that is none', { sha3sum: '/'.repeat(128) }], ['an edit', { edit: commit }],
  ])('is no file: %s', (_, changed) => expect(read(changed)).toBeUndefined())

  it('is no file: another type', () => expect(fileAnnouncementOf({ type: 'text/plain', fields })).toBeUndefined())

  it('a deletion names the announcement, an edit that keeps its tid does not', () => {
    expect(deletedFileOf({ type: FILE_TYPE, fields: { edit: commit, tid: '' } })).toBe(commit)
    expect(deletedFileOf({ type: FILE_TYPE, fields: { edit: commit, tid: '7' } })).toBeUndefined()
    expect(deletedFileOf({ type: 'text/plain', fields: { edit: commit, tid: '' } })).toBeUndefined()
  })

  it.each([
    ['a.tar.gz', '.gz'], ['noext', ''], ['dot.', ''], ['.profile', '.profile'], ['x.1234567', '.1234567'], ['x.12345678', ''], ['x.äöüä', ''], ['x.äöü', '.äöü'], ['', ''], ['a./b', './b'],
  ])('the file id of %j ends in %j', (displayName, end) => expect(fileIdOf(commit, { displayName, tid: '7' })).toBe(`${commit}_7${end}`))
})

describe('names of files that peers chose', () => {
  it.each([
    ['../../etc/passwd', 'passwd'], ['..\\..\\x.exe', 'x.exe'], ['/', 'file'], ['..', 'file'], ['', 'file'], ['a\0b\n.txt', 'ab.txt'], ['\u202egnp.exe', 'gnp.exe'], ['.bashrc', 'bashrc'], ['a.txt. . ', 'a.txt'],
    ['CON', 'file-CON'], ['nul.txt', 'file-nul.txt'], ['C:secret', 'Csecret'], ['grüße.pdf', 'grüße.pdf'], ['x'.repeat(500), 'x'.repeat(240)], [`${'ü'.repeat(500)}.pdf`, `${'ü'.repeat(118)}.pdf`],
    ['a\u2028b\u2029c.txt', 'abc.txt'], ['\u061c\u200b', 'file'],
  ])('SWM-S8 %j is shown as the plain name %j', (displayName, name) => expect(plainName(displayName)).toBe(name))

  it.each([['a.PDF', '.pdf'], ['../x', ''], ['a./b', ''], ['a.p df', ''], ['a.12345678', ''], ['a.\0', '']])('SWM-S8 a name of ours for %j takes the extension %j of it, and nothing else', (displayName, end) =>
    expect(ownName(commit, displayName)).toBe(commit + end))
})
