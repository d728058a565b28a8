// Words of a text, as search knows them: runs of letters, digits and marks of any script, without regard to case and to how characters are
// composed. Scripts that are written without spaces have a word at each character. Pure. Proof: conversation/view/words.test.ts.

/** Bytes of a word that the index keeps; what is longer is compared in the text itself. */
export const WORD_KEY_BYTES = 12
/** Different words of one text that the index keeps. */
export const MAX_WORDS = 10_000
/** Words of one text that are looked at: the same one again and again costs as much as many. */
export const MAX_WORDS_LOOKED_AT = 20_000
/** Characters of a text that are looked at once it is folded: some are eighteen then. */
const MAX_FOLDED_LENGTH = 131_072
/** Marks on one character, as Unicode's stream-safe text has them: putting longer rows in order costs their square. */
const TOO_MANY_MARKS = /(\p{M}{30})\p{M}+/gu
/** Words that a query may have. */
export const MAX_QUERY_WORDS = 32
/** Characters of a word in a script without spaces. */
const UNSPACED_LENGTH = 32

const WORD = /[\p{L}\p{N}\p{M}_]+/gu
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u

const ASCII = /^[\0-\x7f]*$/

/** Upper case first, so that ß is ss; one sigma. */
const folded = (text: string): string => (ASCII.test(text) ? text.slice(0, MAX_FOLDED_LENGTH).toLowerCase() : text.replace(TOO_MANY_MARKS, '$1').normalize('NFKC').slice(0, MAX_FOLDED_LENGTH).toUpperCase().toLowerCase().replaceAll('ς', 'σ'))

/** Words of a text, in its order. */
function* words(text: string): Generator<string> {
  let left = MAX_WORDS_LOOKED_AT
  for (const word of allWords(text)) {
    if (left-- <= 0) return
    yield word
  }
}

function* allWords(text: string): Generator<string> {
  for (const [run] of folded(text).matchAll(WORD)) {
    yield run
    if (!UNSPACED.test(run)) continue
    const characters = [...run]
    for (let at = 1; at < characters.length; at++) if (UNSPACED.test(characters[at] as string) || UNSPACED.test(characters[at - 1] as string)) yield characters.slice(at, at + UNSPACED_LENGTH).join('')
  }
}

/** What is looked for: at most MAX_QUERY_WORDS different words. */
export function queryWords(text: string): string[] {
  return [...new Set([...folded(text).matchAll(WORD)].map(([run]) => (UNSPACED.test(run) ? [...run].slice(0, UNSPACED_LENGTH).join('') : run)))].slice(0, MAX_QUERY_WORDS)
}

/** Each of `wanted` is the beginning of a word. */
export function hasWords(text: string, wanted: readonly string[]): boolean {
  const open = new Set(wanted)
  for (const word of words(text)) {
    for (const one of open) if (word.startsWith(one)) open.delete(one)
    if (open.size === 0) return true
  }
  return open.size === 0
}

/** Beginnings of words as characters below 256: UTF-8, not longer than a key. */
export const wordPrefix = (word: string): string => (ASCII.test(word) ? word.slice(0, WORD_KEY_BYTES) : Buffer.from(word, 'utf8').subarray(0, WORD_KEY_BYTES).toString('latin1'))

/** Keys of all words of a text, each once. */
export function wordKeys(text: string): Set<string> {
  const out = new Set<string>() // bounded by MAX_WORDS
  for (const word of words(text)) {
    if (out.size >= MAX_WORDS) break
    out.add(wordPrefix(word).padEnd(WORD_KEY_BYTES, '\0'))
  }
  return out
}

/** The key of a wire type; begins as no word does. */
export const typeKey = (type: string): string => `\x01${Buffer.from(type, 'utf8').subarray(-WORD_KEY_BYTES + 1).toString('latin1')}`.padEnd(WORD_KEY_BYTES, '\0')
