// Words in any script, without regard to case and composition; each as the beginning of a word.
import { describe, expect, it } from 'vitest'
import { hasWords, MAX_QUERY_WORDS, MAX_WORDS, MAX_WORDS_LOOKED_AT, queryWords, typeKey, WORD_KEY_BYTES, wordKeys, wordPrefix } from './words.ts'

const found = (text: string, query: string) => {
  const words = queryWords(query)
  const byIndex = words.every((word) => [...wordKeys(text)].some((key) => key.startsWith(wordPrefix(word))))
  const byText = hasWords(text, words)
  if (byText && !byIndex) throw new Error('the index would miss it')
  return words.length > 0 && byText
}

describe('words', () => {
  it.each([
    ['Hello World', 'world hel'], ['STRASSE', 'straße'], ['Straße', 'STRASSE'], ['ΟΔΟΣ', 'οδος'], ['οδοσ', 'ΟΔΟΣ'], ['Привет, мир', 'прив'], ['cafe\u0301', 'caf\u00e9'],
    ['東京都に行く', '京都'], ['東京都に行く', '東京'], ['internationalisation of texts', 'internationalis'], ['a_b-c', 'a_b c'], ['ﬁle', 'fil'], ['x٣y', 'X٣'], ['हिन्दी', 'हिन्'],
  ])('%j is found by %j', (text, query) => expect(found(text, query)).toBe(true))

  it.each([['Hello World', 'orld'], ['internationalisation', 'internationalise'], ['one two', 'one three'], ['...', '...'], ['東京', '京東'], ['', 'x']])('%j is not found by %j', (text, query) => expect(found(text, query)).toBe(false))

  it('keys have one length, also of words that are longer, and those of types are no words', () => {
    for (const key of [...wordKeys('a ßßßßßßßßßßßßß 東京都東京都東京都'), typeKey('application/data-transfer+json'), typeKey('x')]) expect(key).toHaveLength(WORD_KEY_BYTES)
    expect(wordKeys('\x01x').has(typeKey('x'))).toBe(false)
  })

  it('bounds: so many words of one text, so many of a query', () => {
    expect(wordKeys(Array.from({ length: MAX_WORDS + 5 }, (_, i) => `w${i}`).join(' ')).size).toBe(MAX_WORDS)
    expect(hasWords(`${'one '.repeat(MAX_WORDS_LOOKED_AT - 1)}two`, ['two'])).toBe(true)
    expect(hasWords(`${'one '.repeat(MAX_WORDS_LOOKED_AT)}two`, ['two'])).toBe(false)
    expect(queryWords(Array.from({ length: MAX_QUERY_WORDS + 5 }, (_, i) => `w${i}`).join(' '))).toHaveLength(MAX_QUERY_WORDS)
  })

  it('texts made to cost much: marks without end on one character, one word again and again, characters that become eighteen', () => {
    for (const text of [`a${'\u0301\u0323'.repeat(32_700)}`, '漢'.repeat(65_536), '\ufdfa'.repeat(65_536)]) {
      const before = performance.now()
      wordKeys(text)
      expect(performance.now() - before).toBeLessThan(1_000) // the first took more than two seconds
    }
    expect(found(`a${'\u0301\u0323'.repeat(14)} b`, `a${'\u0323\u0301'.repeat(14)}`)).toBe(true) // the same text, within what is looked at
    expect(found(`a${'\u0301'.repeat(40)}`, `a${'\u0301'.repeat(35)}`)).toBe(true)
  })
})
