/** What a person does to segments. Pure functions: a new list each time, so that undo is the list before. */
import type { Segment } from '$lib/api/types';
import { joint } from '$lib/text';
import { retime } from './words';

/** Change the text of a segment; without text it is taken away. */
export function setText(
  segments: readonly Segment[],
  index: number,
  text: string,
): readonly Segment[] {
  const segment = segments[index];
  const trimmed = text.trim().replace(/\s+/g, ' ');
  if (!segment || trimmed === segment.text.trim()) return segments;
  if (!trimmed) return segments.filter((_, other) => other !== index);
  const lead = /^\s*/.exec(segment.text)?.[0] ?? '';
  return replaced(segments, index, 1, [withText(segment, lead + trimmed)]);
}

/** Join a segment and the next. */
export function merge(segments: readonly Segment[], index: number): readonly Segment[] {
  const [left, right] = [segments[index], segments[index + 1]];
  if (!left || !right) return segments;
  const between = joint(left.text, right.text);
  const [first, ...others] = right.words ?? [];
  const words =
    left.words && first
      ? [...left.words, { ...first, word: between + first.word }, ...others]
      : null;
  const joined = plain({ ...left, end: right.end, text: left.text + between + right.text, words });
  return replaced(segments, index, 2, [joined]);
}

/**
 * Cut a segment in two.
 *
 * @param place in its text without the spaces around it; at either end nothing happens.
 */
export function split(
  segments: readonly Segment[],
  index: number,
  place: number,
): readonly Segment[] {
  const segment = segments[index];
  if (!segment) return segments;
  const lead = segment.text.length - segment.text.trimStart().length;
  const left = segment.text.slice(0, lead + place).trimEnd();
  const right = segment.text.slice(lead + place);
  if (!left.trim() || !right.trim()) return segments;
  const { words } = segment;
  const cut = words
    ? wordAt(
        words.map(({ word }) => word),
        left.length,
      )
    : 0;
  const timed = words && cut > 0 && cut < words.length;
  const share = left.trim().length / segment.text.trim().length;
  const middle = segment.start + (segment.end - segment.start) * share;
  const leftEnd = timed ? (words[cut - 1]?.end ?? middle) : middle;
  const rightStart = timed ? (words[cut]?.start ?? middle) : middle;
  const part = (text: string, start: number, end: number): Segment => {
    const own = words?.filter((word) =>
      text === left ? word.start < rightStart : word.start >= rightStart,
    );
    return withText(plain({ ...segment, start, end, words: own ?? null }), text);
  };
  return replaced(segments, index, 1, [
    part(left, segment.start, leftEnd),
    part(right, rightStart, segment.end),
  ]);
}

/** How many words end within the first characters of the text that they make. */
function wordAt(words: readonly string[], chars: number): number {
  let length = 0;
  for (const [index, word] of words.entries()) {
    length += word.trimEnd().length;
    if (length > chars) return index;
    length += word.length - word.trimEnd().length;
  }
  return words.length;
}

function withText(segment: Segment, text: string): Segment {
  const words = segment.words?.length
    ? retime(segment.words, text, segment.start, segment.end)
    : null;
  return plain({ ...segment, text, words });
}

/** Without what was true of the decoded text only, such as its tokens. */
function plain({ start, end, text, words, language }: Segment): Segment {
  return { start, end, text, words: words ?? null, language: language ?? null };
}

function replaced(
  segments: readonly Segment[],
  index: number,
  count: number,
  by: readonly Segment[],
): readonly Segment[] {
  return [...segments.slice(0, index), ...by, ...segments.slice(index + count)];
}
