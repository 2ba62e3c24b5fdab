import { describe, expect, it } from 'vitest';
import { merge, setText, split } from '../src/views/document/edits';
import type { Segment } from '../src/lib/api/types';

const FIRST: Segment = {
  start: 0,
  end: 2,
  text: ' It is windy.',
  words: [
    { word: ' It', start: 0, end: 0.4 },
    { word: ' is', start: 0.5, end: 0.9 },
    { word: ' windy.', start: 1, end: 1.8 },
  ],
  language: 'en',
};
const SECOND: Segment = {
  start: 2.5,
  end: 4,
  text: ' I like tea.',
  words: [
    { word: ' I', start: 2.5, end: 2.7 },
    { word: ' like', start: 2.8, end: 3.2 },
    { word: ' tea.', start: 3.3, end: 3.9 },
  ],
  language: 'en',
};
const BOTH = [FIRST, SECOND];

function joined(segment: Segment | undefined): string {
  return segment?.words?.map(({ word }) => word).join('') ?? '';
}

describe('setText', () => {
  it('changes one segment and leaves the list before as it was', () => {
    const after = setText(BOTH, 0, 'It is  rainy. ');
    expect(after[0]?.text).toBe(' It is rainy.');
    expect(joined(after[0])).toBe(' It is rainy.');
    expect(after[1]).toBe(SECOND);
    expect(BOTH[0]).toBe(FIRST);
  });
  it('is nothing where nothing changed', () => expect(setText(BOTH, 0, 'It is windy.')).toBe(BOTH));
  it('takes an emptied segment away', () => expect(setText(BOTH, 0, '  ')).toEqual([SECOND]));
  it('works without words', () => {
    const after = setText([{ ...FIRST, words: null }], 0, 'New');
    expect(after[0]).toMatchObject({ text: ' New', words: null });
  });
  it('drops what was true of the decoded text only', () => {
    const decoded = { ...FIRST, tokens: [1, 2], avg_logprob: -0.2 };
    expect(Object.keys(setText([decoded], 0, 'New')[0] ?? {}).sort()).toEqual(
      ['end', 'language', 'start', 'text', 'words'].sort(),
    );
  });
});

describe('merge', () => {
  it('joins two', () => {
    const [one, ...others] = merge(BOTH, 0);
    expect(others).toEqual([]);
    expect(one).toMatchObject({ start: 0, end: 4, text: ' It is windy. I like tea.' });
    expect(joined(one)).toBe(one?.text);
  });
  it('puts a space where people edited it away', () => {
    const edited = { ...SECOND, text: 'I like tea.', words: null };
    expect(merge([FIRST, edited], 0)[0]).toMatchObject({
      text: ' It is windy. I like tea.',
      words: null,
    });
  });
  it('is nothing after the last', () => expect(merge(BOTH, 1)).toBe(BOTH));
});

describe('split', () => {
  it('cuts between words, at their times', () => {
    const [left, right, rest] = split(BOTH, 0, 'It is'.length);
    expect(left).toMatchObject({ start: 0, end: 0.9, text: ' It is' });
    expect(right).toMatchObject({ start: 1, end: 2, text: ' windy.' });
    expect(joined(left)).toBe(' It is');
    expect(joined(right)).toBe(' windy.');
    expect(rest).toBe(SECOND);
  });
  it('cuts within a word', () => {
    const [left, right] = split(BOTH, 0, 'It is win'.length);
    expect(left?.text).toBe(' It is win');
    expect(right?.text).toBe('dy.');
    expect(joined(left)).toBe(' It is win');
    expect(joined(right)).toBe('dy.');
    expect(left?.end).toBeLessThanOrEqual(right?.start ?? 0);
  });
  it.each([0, 12, 99])('is nothing at an end: %i', (place) =>
    expect(split(BOTH, 0, place)).toBe(BOTH),
  );
  it('cuts by length without words', () => {
    const [left, right] = split([{ start: 0, end: 4, text: 'abcd', words: null }], 0, 1);
    expect(left).toMatchObject({ text: 'a', start: 0, end: 1 });
    expect(right).toMatchObject({ text: 'bcd', start: 1, end: 4 });
  });
  it('undoes merge', () => {
    const again = split(merge(BOTH, 0), 0, 'It is windy.'.length);
    expect(again.map(({ text }) => text)).toEqual(BOTH.map(({ text }) => text));
    expect(again.map(joined)).toEqual(BOTH.map(joined));
  });
});
