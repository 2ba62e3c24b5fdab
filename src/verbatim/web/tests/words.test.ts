import { describe, expect, it } from 'vitest';
import { finely, retime, spread, tokens } from '../src/views/document/words';
import type { Word } from '../src/lib/api/types';
import { joined, joint } from '../src/lib/text';

function timed(...words: [string, number, number][]): Word[] {
  return words.map(([word, start, end]) => ({ word, start, end, probability: 0.9 }));
}

/** Times rise, nothing overlaps, nothing leaves the segment, and the words are the text. */
function expectSound(words: Word[], text: string, start: number, end: number): void {
  expect(words.map(({ word }) => word).join('')).toBe(text);
  let at = start;
  for (const word of words) {
    expect(word.start).toBeGreaterThanOrEqual(at - 1e-9);
    expect(word.end).toBeGreaterThanOrEqual(word.start);
    at = word.end;
  }
  expect(at).toBeLessThanOrEqual(end + 1e-9);
}

describe('tokens', () => {
  it.each([
    [' It is windy.', [' It', ' is', ' windy.']],
    ['我喜歡茶。', ['我', '喜', '歡', '茶。']],
    ['我用 Verbatim 工作', ['我', '用', ' Verbatim', ' 工', '作']],
    [' 오늘 날씨가 좋아요', [' 오늘', ' 날씨가', ' 좋아요']],
    ['', []],
  ])('%j', (text, expected) => {
    expect(tokens(text)).toEqual(expected);
    expect(tokens(text).join('')).toBe(text);
  });
});

describe('joint', () => {
  it.each([
    ['It is.', 'Really', ' '],
    ['It is.', ' Really', ''],
    ['你好。', '再見', ''],
    ['좋아요.', '네', ' '],
    ['', 'a', ''],
  ])('%j and %j', (left, right, expected) => expect(joint(left, right)).toBe(expected));
});

it('joins as the script does', () => {
  expect(joined([' It is.', ' Really.'])).toBe('It is. Really.');
  expect(joined([' 你好。', ' 再見。'])).toBe('你好。再見。');
  expect(joined([' 네.', ' 좋아요.'])).toBe('네. 좋아요.');
});

it('shares time by length', () => {
  expect(spread(['ab', ' cdef'], 1, 4)).toEqual([
    { word: 'ab', start: 1, end: 2 },
    { word: ' cdef', start: 2, end: 4 },
  ]);
});

it('cuts words of several signs', () => {
  expect(finely(timed(['喜歡', 0, 1]))).toEqual(spread(['喜', '歡'], 0, 1));
});

describe('retime', () => {
  const before = timed(
    [' It', 1, 1.2],
    [' is', 1.2, 1.5],
    [' windy', 1.6, 2],
    [' today.', 2.1, 2.6],
  );

  it('leaves words alone that are the same', () => {
    expect(retime(before, ' It is windy today.', 1, 3)).toEqual(before);
  });

  it('gives a new word the time of the one it stands for', () => {
    const after = retime(before, ' It is rainy today.', 1, 3);
    expect(after[2]).toEqual({ word: ' rainy', start: 1.5, end: 2.1 });
    expect(after[3]).toEqual(before[3]);
    expectSound(after, ' It is rainy today.', 1, 3);
  });

  it.each([
    ' today.',
    ' It is very windy and cold in Seoul today.',
    ' Completely other words',
    ' today. windy is It',
    ' x',
  ])('stays sound: %j', (text) => expectSound(retime(before, text, 1, 3), text, 1, 3));

  it('works where words are signs', () => {
    const signs = timed(['我', 0, 0.3], ['喜歡', 0.3, 0.9], ['茶', 1, 1.4]);
    const after = retime(signs, '我很喜歡茶', 0, 1.4);
    expectSound(after, '我很喜歡茶', 0, 1.4);
    expect(after.at(-1)).toMatchObject({ word: '茶', start: 1, end: 1.4 });
  });
});
