/** Where things are in a transcript: the time in the text, doubts, what is searched for. */
import type { Segment, Warning } from '$lib/api/types';

export interface Match {
  segment: number;
  /** Characters of the segment's text. */
  from: number;
  to: number;
}

/** The segment that is heard at a time: the last that has begun; -1 before the first. */
export function segmentAt(segments: readonly Segment[], seconds: number): number {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((segments[middle]?.start ?? 0) <= seconds) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The word that is heard at a time; -1 in the pauses. */
export function wordAt(segment: Segment | undefined, seconds: number): number {
  return segment?.words?.findIndex((word) => word.start <= seconds && seconds < word.end) ?? -1;
}

/** Warnings of a place, for each segment that they touch. */
export function doubts(
  segments: readonly Segment[],
  warnings: readonly Warning[],
): ReadonlyMap<number, readonly Warning[]> {
  const found = new Map<number, Warning[]>();
  for (const warning of warnings) {
    if (warning.start === null || warning.end === null) continue;
    for (const [index, { start, end }] of segments.entries()) {
      if (start < warning.end && warning.start < end) {
        found.set(index, [...(found.get(index) ?? []), warning]);
      }
    }
  }
  return found;
}

/** Every place where the text has these words, whatever their case. */
export function search(segments: readonly Segment[], wanted: string): readonly Match[] {
  const needle = wanted.trim().toLowerCase();
  if (!needle) return [];
  return segments.flatMap(({ text }, segment) => {
    const found: Match[] = [];
    const hay = text.toLowerCase();
    for (let at = hay.indexOf(needle); at >= 0; at = hay.indexOf(needle, at + needle.length)) {
      found.push({ segment, from: at, to: at + needle.length });
    }
    return found;
  });
}

/** The matches of each segment that has any. */
export function bySegment(matches: readonly Match[]): ReadonlyMap<number, readonly Match[]> {
  const found = new Map<number, Match[]>();
  for (const match of matches) {
    found.set(match.segment, [...(found.get(match.segment) ?? []), match]);
  }
  return found;
}

export interface Piece {
  /** The space before it, which is neither lit nor marked. */
  lead: string;
  text: string;
  hit: boolean;
}

/** A segment's text by words, each marked where it is part of a match; one piece without words. */
export function pieces(segment: Segment, matches: readonly Match[]): Piece[] {
  const texts = segment.words?.length
    ? segment.words.map(({ word }) => word)
    : cut(segment, matches);
  let at = 0;
  return texts.map((whole) => {
    const text = whole.trimStart();
    const from = at + whole.length - text.length;
    at += whole.length;
    const hit = matches.some((match) => match.from < from + text.length && from < match.to);
    return { lead: whole.slice(0, whole.length - text.length), text, hit };
  });
}

function cut({ text }: Segment, matches: readonly Match[]): string[] {
  const parts: string[] = [];
  let at = 0;
  for (const { from, to } of matches) {
    parts.push(text.slice(at, from), text.slice(from, to));
    at = to;
  }
  return [...parts, text.slice(at)].filter((part) => part !== '');
}
