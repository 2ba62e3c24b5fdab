/** Text of several scripts. */

/** Scripts that put no space between words, for a class of a regular expression. */
export const SIGN = '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}';
const UNSPACED = new RegExp(`[${SIGN}，。！？、；：]`, 'u');

/** Whether a space belongs between two stretches of text. */
export function joint(left: string, right: string): string {
  const last = left.at(-1) ?? '';
  const first = right.at(0) ?? '';
  if (!last || !first || /\s/.test(last) || /\s/.test(first)) return '';
  return UNSPACED.test(last) || UNSPACED.test(first) ? '' : ' ';
}

/** Stretches of text as one, with spaces only where the script has them. */
export function joined(texts: readonly string[]): string {
  let whole = '';
  for (const text of texts) {
    const trimmed = text.trim();
    whole += joint(whole, trimmed) + trimmed;
  }
  return whole;
}
