// ICE descriptions: captured text, refusals, round trip, fuzz.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { refusal } from '../../test/refusals.ts'
import { parseCandidate, parseIceDescription, printIceDescription } from './ice-text.ts'

// docs/protocol/02 §2.1, captured
const CAPTURED = `4ea783ee
0f4a0d9b37acdc5b7e6c6a98
Ha58000d 1 TCP 2130706431 10.88.0.13 44257 typ host tcptype passive
Ha58000d 1 TCP 2130706175 10.88.0.13 9 typ host tcptype active
H46b28603 1 TCP 2130706431 fd88:88:88:1::d 38371 typ host tcptype passive
H46b28603 1 TCP 2130706175 fd88:88:88:1::d 9 typ host tcptype active
Sa58000d 1 TCP 1694498303 10.88.0.13 9 typ srflx tcptype active
`
const LINE = 'Ha58000d 1 TCP 2130706431 10.88.0.13 44257 typ host tcptype passive'

describe('ICE descriptions', () => {
  it('ICE-11 reads captured lines and prints them byte by byte', () => {
    const d = parseIceDescription(CAPTURED)
    expect([d.ufrag, d.password, d.candidates.length]).toEqual(['4ea783ee', '0f4a0d9b37acdc5b7e6c6a98', 5])
    expect(d.candidates[2]).toEqual({ foundation: 'H46b28603', component: 1, priority: 2_130_706_431, host: 'fd88:88:88:1::d', port: 38_371, family: 6, type: 'host', tcpType: 'passive' })
    expect(printIceDescription(d)).toBe(CAPTURED)
  })

  it('ICE-11 ignores what follows tcptype, and skips lines that it cannot use', () => {
    expect(parseCandidate(`${LINE} generation 0 x y`)).toEqual(parseCandidate(LINE))
    const d = parseIceDescription(`u123\np1234567890123456\n\nnonsense\n${LINE}\n${LINE.replace('TCP', 'UDP')}\n`)
    expect(d.candidates.length).toBe(1)
  })

  it.each([
    ['a host name', LINE.replace('10.88.0.13', 'host.example')],
    ['an mDNS name', LINE.replace('10.88.0.13', 'abc.local')],
    ['a zone', LINE.replace('10.88.0.13', 'fe80::1%eth0')],
    ['brackets', LINE.replace('10.88.0.13', '[fd00::1]')],
    ['an octet of 256', LINE.replace('10.88.0.13', '10.88.0.256')],
    ['an octal octet', LINE.replace('10.88.0.13', '010.88.0.13')],
    ['nine groups', LINE.replace('10.88.0.13', '1:2:3:4:5:6:7:8:9')],
    ['two gaps', LINE.replace('10.88.0.13', '1::2::3')],
    ['UDP', LINE.replace('TCP', 'UDP')],
    ['lower-case tcp', LINE.replace('TCP', 'tcp')],
    ['component 2', LINE.replace(' 1 TCP', ' 2 TCP')],
    ['port 0', LINE.replace('44257', '0')],
    ['port 65536', LINE.replace('44257', '65536')],
    ['a negative port', LINE.replace('44257', '-1')],
    ['a priority above 32 bits', LINE.replace('2130706431', '4294967296')],
    ['an unknown type', LINE.replace('typ host', 'typ other')],
    ['an unknown tcptype', LINE.replace('passive', 'maybe')],
    ['no tcptype', LINE.replace(' tcptype passive', '')],
    ['a foundation of 32 characters', LINE.replace('Ha58000d', 'x'.repeat(32))],
  ])('does not use a line with %s', (_, line) => {
    expect(parseCandidate(line)).toBeUndefined()
  })

  it.each([
    ['nothing', ''],
    ['no password', 'ufrag\n'],
    ['a short ufrag', 'abc\np1234567890123456\n'],
    ['a short password', 'ufrag\nshort\n'],
    ['a ufrag of 257 characters', `${'u'.repeat(257)}\np1234567890123456\n`],
    ['control characters', 'uf\u0007rag\np1234567890123456\n'],
  ])('refuses a description with %s', (_, text) => {
    expect(refusal(() => parseIceDescription(text))).toBe('ERR_CODEC')
  })

  it('uses at most 31 candidates', () => {
    expect(parseIceDescription(`ufrag\np1234567890123456\n${`${LINE}\n`.repeat(100)}`).candidates.length).toBe(31)
  })

  it('round trip, and any text is read or refused (fuzz)', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6().filter((a) => !a.includes('.')))
    const candidate = fc.record({ host: address, port: fc.integer({ min: 1, max: 65_535 }), priority: fc.nat(0xffffffff), active: fc.boolean() })
    fc.assert(fc.property(fc.array(candidate, { maxLength: 16 }), (list) => {
      const text = `ufrag\np1234567890123456\n${list.map((c, i) => `F${i} 1 TCP ${c.priority} ${c.host} ${c.port} typ host tcptype ${c.active ? 'active' : 'passive'}\n`).join('')}`
      expect(printIceDescription(parseIceDescription(text))).toBe(text)
    }), { numRuns: 500 })
    const words = fc.constantFrom('H1', '1', 'TCP', '5', '10.0.0.1', '::', ':', 'typ', 'host', 'tcptype', 'passive', '\n', ' ', '99999999999', '\u0000')
    fc.assert(fc.property(fc.oneof(fc.string({ maxLength: 300 }), fc.array(words, { maxLength: 40 }).map((w) => `ufrag\np1234567890123456\n${w.join(' ')}`)), (text) => {
      refusal(() => parseIceDescription(text))
    }), { numRuns: 10_000 })
  })
})
