import { describe, expect, it } from 'vitest';
import { bySegment, doubts, pieces, search, segmentAt, wordAt } from '../src/views/document/places';
import { loudest, outline } from '../src/views/document/peaks';
import type { Segment } from '../src/lib/api/types';

const SEGMENTS: Segment[] = [
  {
    start: 1,
    end: 2,
    text: ' The tea.',
    words: [
      { word: ' The', start: 1, end: 1.3 },
      { word: ' tea.', start: 1.5, end: 2 },
    ],
  },
  { start: 3, end: 4, text: ' Teatime at the theatre', words: null },
];

describe('segmentAt', () => {
  it.each([
    [0, -1],
    [1, 0],
    [2.5, 0],
    [3, 1],
    [99, 1],
  ])('%d s', (seconds, expected) => expect(segmentAt(SEGMENTS, seconds)).toBe(expected));
});

describe('wordAt', () => {
  it.each([
    [1.1, 0],
    [1.4, -1],
    [1.5, 1],
    [2, -1],
  ])('%d s', (seconds, expected) => expect(wordAt(SEGMENTS[0], seconds)).toBe(expected));
  it('knows none without words', () => expect(wordAt(SEGMENTS[1], 3)).toBe(-1));
});

it('finds whatever the case', () => {
  expect(search(SEGMENTS, ' TEA ')).toEqual([
    { segment: 0, from: 5, to: 8 },
    { segment: 1, from: 1, to: 4 },
  ]);
  expect(search(SEGMENTS, '  ')).toEqual([]);
});

it('marks whole words, and parts where there are no words', () => {
  const marked = bySegment(search(SEGMENTS, 'tea'));
  expect(pieces(SEGMENTS[0] as Segment, marked.get(0) ?? [])).toEqual([
    { lead: ' ', text: 'The', hit: false },
    { lead: ' ', text: 'tea.', hit: true },
  ]);
  const parts = pieces(SEGMENTS[1] as Segment, marked.get(1) ?? []);
  expect(parts.filter(({ hit }) => hit).map(({ text }) => text)).toEqual(['Tea']);
  expect(parts.map(({ lead, text }) => lead + text).join('')).toBe(SEGMENTS[1]?.text);
});

it('tells doubts where they are', () => {
  const warning = { code: 'low_confidence', message: '', start: 1.9, end: 3.1 };
  const general = { code: 'demo_model', message: '', start: null, end: null };
  expect([...doubts(SEGMENTS, [warning, general])]).toEqual([
    [0, [warning]],
    [1, [warning]],
  ]);
  expect(doubts(SEGMENTS, [{ ...warning, start: 2, end: 3 }]).size).toBe(0);
});

describe('peaks', () => {
  it('are the loudest of each stretch', () => {
    const samples = new Float32Array([0, 0.1, -0.5, 0.2, 0, 0, 0.25, 0]);
    expect([...loudest(samples, 4)].map((v) => Number(v.toFixed(3)))).toEqual([0.2, 1, 0, 0.5]);
  });
  it('of silence are 0', () => expect([...loudest(new Float32Array(8), 2)]).toEqual([0, 0]));
  it('show speech where nothing could be decoded', () => {
    const drawn = outline(SEGMENTS, 4, 4);
    expect(drawn[0]).toBeLessThan(drawn[1] as number);
    expect(drawn[1]).toBe(drawn[3]);
  });
});
