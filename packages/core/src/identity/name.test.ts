// Names in every string type that a CA may carry, and what is refused.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { der, derName, derOid, derSequence } from '../../test/der-writer.ts'
import { JamiError } from '../base/errors.ts'
import { utf8 } from '../codec/bytes.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { parseCertificate } from './certificate.ts'
import { asn1, nameBytes } from './asn1.ts'
import { TAG } from './der.ts'
import { readName } from './name.ts'

const name = (tag: number, ...bytes: number[]) => derSequence(der(TAG.set, derSequence(derOid('2.5.4.3'), der(tag, Uint8Array.from(bytes)))))
const cn = (tag: number, ...bytes: number[]) => readName(name(tag, ...bytes), 'name').cn

describe('readName', () => {
  it('reads what we write: two RDNs, byte for byte as by hand', async () => {
    const written = nameBytes(await asn1(new ManualClock()), 'Jami', 'ab')
    expect(written).toEqual(derName('Jami', 'ab'))
    expect(readName(written, 'name')).toEqual({ cn: 'Jami', uid: 'ab' })
  })

  it.each<[string, number, number[], string]>([
    ['UTF8String', 0x0c, [...utf8('Zoë 😀')], 'Zoë 😀'], ['PrintableString', 0x13, [0x5a, 0x6f], 'Zo'], ['IA5String', 0x16, [0x5a, 0x40], 'Z@'],
    ['TeletexString', 0x14, [0x5a, 0x6f, 0xeb], 'Zoë'], ['BMPString', 0x1e, [0, 0x5a, 0, 0x6f, 0, 0xeb, 0x6f, 0x22], 'Zoë漢'],
    ['UniversalString', 0x1c, [0, 0, 0, 0x5a, 0, 1, 0xf6, 0], 'Z😀'], ['an empty BMPString', 0x1e, [], ''],
  ])('a name as %s', (_what, tag, bytes, text) => expect(cn(tag, ...bytes)).toBe(text))

  it.each<[string, number, number[]]>([
    ['UTF-8 that is none', 0x0c, [0xff]], ['half a character of a BMPString', 0x1e, [0, 0x5a, 0]], ['a surrogate in a BMPString', 0x1e, [0xd8, 0]],
    ['a UniversalString beyond Unicode', 0x1c, [0, 0x11, 0, 0]], ['three bytes of a UniversalString', 0x1c, [0, 0, 0x5a]], ['an OCTET STRING', 0x04, [0x5a]],
  ])('refuses %s', (_what, tag, bytes) => expect(() => cn(tag, ...bytes)).toThrow(JamiError))

  it.each([['UTF8String', 'utf8only'], ['BMPString', 'MASK:0x800'], ['TeletexString', 'MASK:0x4']])('reads the %s of a CA that OpenSSL made', (_what, mask) => {
    const directory = mkdtempSync(join(tmpdir(), 'jamikit-'))
    try {
      writeFileSync(join(directory, 'c'), `[req]\ndistinguished_name=dn\nprompt=no\nutf8=yes\nstring_mask=${mask}\nx509_extensions=v3\n[dn]\nCN=Zoë Org\n[v3]\nbasicConstraints=critical,CA:TRUE\n`)
      const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', join(directory, 'k'), '-config', join(directory, 'c'), '-days', '10']
      expect(parseCertificate(execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' })).subjectCn).toBe('Zoë Org')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
