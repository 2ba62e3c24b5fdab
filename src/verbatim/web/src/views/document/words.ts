/** Words and their times, when a person changes the text. Pure functions. */
import type { Word } from '$lib/api/types';
import { SIGN } from '$lib/text';

const TOKEN = new RegExp(`\\s*(?:[${SIGN}][\\p{P}]*|[^\\s${SIGN}]+)`, 'gu');

/** The words of a text, each with the space before it: joined they are the text without its last space. */
export function tokens(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

/** Cut words so that they are as fine as `tokens`; their time is shared out by their length. */
export function finely(words: readonly Word[]): Word[] {
  return words.flatMap((word) => {
    const parts = tokens(word.word);
    return parts.length > 1 ? spread(parts, word.start, word.end) : [word];
  });
}

/** Give texts the time from start to end, by their length. */
export function spread(texts: readonly string[], start: number, end: number): Word[] {
  const total = texts.reduce((sum, text) => sum + text.trim().length, 0) || 1;
  let at = start;
  return texts.map((text) => {
    const begun = at;
    at += ((end - start) * text.trim().length) / total;
    return { word: text, start: begun, end: at };
  });
}

/**
 * The words of a changed text: those that were there keep their times, the others share the time
 * between their neighbours.
 *
 * @param before in order, not overlapping.
 * @param start of the segment, seconds.
 * @param end of the segment, seconds.
 */
export function retime(before: readonly Word[], text: string, start: number, end: number): Word[] {
  const old = finely(before);
  const fresh = tokens(text);
  const kept = common(
    old.map((word) => word.word.trim()),
    fresh.map((word) => word.trim()),
  );
  const result: Word[] = [];
  let from = 0;
  for (const [oldIndex, freshIndex] of [...kept, [old.length, fresh.length] as const]) {
    const word = old[oldIndex];
    const gapStart = result.at(-1)?.end ?? start;
    result.push(...spread(fresh.slice(from, freshIndex), gapStart, word?.start ?? end));
    if (word) result.push({ ...word, word: fresh[freshIndex] ?? word.word });
    from = freshIndex + 1;
  }
  return result;
}

/** Pairs of indices of a longest common subsequence, in order. */
function common(a: readonly string[], b: readonly string[]): [number, number][] {
  const width = b.length + 1;
  const best = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number): number => best[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      best[i * width + j] =
        a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const pairs: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (at(i + 1, j) >= at(i, j + 1)) i += 1;
    else j += 1;
  }
  return pairs;
}
