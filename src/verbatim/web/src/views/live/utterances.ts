/** What was said so far, made of the events that tell it. */
import type { Segment, Word } from '$lib/api/types';
import type { LiveEvent, LiveWord } from './events';

export interface Utterance {
  /** Unique on the page. */
  key: string;
  committed: string;
  tail: string;
  final: boolean;
  /** Seconds from the start of the recording. */
  start: number;
  end: number;
  language: string;
  words: LiveWord[];
}

/** The utterances after an event; `part` tells sessions of the same recording apart. */
export function withEvent(
  utterances: readonly Utterance[],
  event: LiveEvent,
  part: number,
  offsetS: number,
): readonly Utterance[] {
  if (event.type !== 'text') return utterances;
  const key = `${part}:${event.utterance}`;
  const told: Utterance = {
    key,
    committed: event.committed,
    tail: event.tail,
    final: event.is_final,
    start: event.start + offsetS,
    end: event.end + offsetS,
    language: event.language,
    words: event.words.map((word) => ({
      ...word,
      start: word.start + offsetS,
      end: word.end + offsetS,
    })),
  };
  const before = utterances.filter((utterance) => utterance.key !== key);
  // Speech that turned out to be none has no text.
  if (told.final && !told.committed.trim()) return before;
  return [...before, told];
}

/** The text that stands: guesses become text when nothing more will come. */
export function segmentsOf(utterances: readonly Utterance[]): Segment[] {
  return utterances
    .map(({ committed, tail, start, end, language, words, final }) => {
      const text = final ? committed : (committed + tail).trim();
      return { start, end, text, language, words: final ? spacedWords(text, words) : null };
    })
    .filter((segment) => segment.text.trim());
}

/** Words with the space before each, so that together they are the text; null where they are not. */
export function spacedWords(text: string, words: readonly LiveWord[]): Word[] | null {
  let at = 0;
  const spaced: Word[] = [];
  for (const { word, start, end, probability } of words) {
    const found = text.indexOf(word, at);
    if (found < 0 || text.slice(at, found).trim()) return null;
    spaced.push({ word: text.slice(at, found + word.length), start, end, probability });
    at = found + word.length;
  }
  return spaced.length && !text.slice(at).trim() ? spaced : null;
}
