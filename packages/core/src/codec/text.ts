// Text that leaves: a lone surrogate has no UTF-8 form, strict readers refuse what carries one, and a signature makes that permanent.
// Pure. Proof: codec/text.test.ts.

/** The text with U+FFFD in place of every lone surrogate, as String.prototype.toWellFormed gives it. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd')
}

/** The first `max` UTF-16 units at most, well-formed: never half a character at the cut. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return wellFormed(text)
  const last = text.charCodeAt(max - 1)
  return wellFormed(text.slice(0, last >= 0xd800 && last <= 0xdbff ? max - 1 : max))
}
