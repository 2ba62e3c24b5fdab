import { describe, expect, it } from 'vitest';
import { errorOf, streamError } from '../src/lib/api/errors';
import { EventReader } from '../src/lib/api/sse';
import { bestLocale } from '../src/lib/i18n/locale.svelte';
import { levelOf } from '../src/lib/level';
import { fileName } from '../src/lib/render';
import { parsePlace } from '../src/lib/router.svelte';
import { remaining } from '../src/lib/runs/remaining';

const STREAM = 'data: {"a":1}\n\n: still there\n\ndata: one\ndata: two\n\ndata: {"b":2}\r\n\r\n';

describe('EventReader', () => {
  it.each([1, 2, 3, 7, STREAM.length])('reads pieces of %i', (size) => {
    const reader = new EventReader();
    const found: string[] = [];
    for (let at = 0; at < STREAM.length; at += size) {
      found.push(...reader.read(STREAM.slice(at, at + size)));
    }
    expect(found).toEqual(['{"a":1}', 'one\ntwo', '{"b":2}']);
  });
});

describe('errors', () => {
  const body = JSON.stringify({ error: { message: 'Come back later.', code: 'overloaded' } });

  it('say what the server said', () => {
    expect(errorOf(429, body, '7')).toMatchObject({
      kind: 'busy',
      detail: 'Come back later.',
      code: 'overloaded',
      retryAfterS: 7,
    });
  });
  it.each([
    [400, 'refused'],
    [401, 'key'],
    [403, 'forbidden'],
    [413, 'too_large'],
    [415, 'not_audio'],
    [418, 'refused'],
    [500, 'internal'],
    [502, 'unreachable'],
    [503, 'unavailable'],
    [507, 'full'],
  ])('%i is %s', (status, kind) => expect(errorOf(status, '', null).kind).toBe(kind));
  it.each(['<html>', '[]', 'null', '{"error":null}'])('bear any body: %s', (odd) => {
    expect(errorOf(502, odd, 'soon')).toMatchObject({ detail: '', retryAfterS: null });
  });
  it('of streams have a kind too', () => {
    expect(streamError({ message: 'x', code: 'not_audio' }).kind).toBe('not_audio');
    expect(streamError({ message: 'x' }).kind).toBe('internal');
  });
});

describe('remaining', () => {
  it.each([
    [30, 60, 10, 10],
    [60, 60, 10, 0],
    [70, 60, 10, 0],
    [0, 60, 10, null],
    [30, null, 10, null],
    [30, 60, 0.5, null],
  ])('%d of %d in %d s', (done, total, elapsed, expected) => {
    expect(remaining(done, total, elapsed)).toBe(expected);
  });
});

it.each([
  [['ko-KR', 'en'], 'ko'],
  [['zh-Hant-HK'], 'zh-TW'],
  [['zh-CN'], 'zh-TW'],
  [['fr', 'EN-gb'], 'en'],
  [['de'], 'en'],
  [[], 'en'],
])('the page speaks to %j', (wanted, expected) => expect(bestLocale(wanted)).toBe(expected));

it.each([
  ['', { view: '', id: null }],
  ['#/', { view: '', id: null }],
  ['#/history', { view: 'history', id: null }],
  ['#/transcripts/a%2Fb', { view: 'transcripts', id: 'a/b' }],
])('the address %j', (fragment, place) => expect(parsePlace(fragment)).toEqual(place));

it.each([
  ['talk.mp4', 'talk.srt'],
  ['v1.2 notes', 'v1.2 notes.srt'],
  ['錄音 11:02.webm', '錄音 11:02.srt'],
  ['.ogg', 'transcript.srt'],
])('%j becomes %j', (name, expected) => expect(fileName(name, 'srt')).toBe(expected));

it('levels go from silence to full scale', () => {
  expect(levelOf(new Float32Array(64))).toBe(0);
  expect(levelOf(new Float32Array(64).fill(1))).toBe(1);
  const quiet = levelOf(new Float32Array(64).fill(0.01));
  expect(quiet).toBeCloseTo(1 / 3, 5);
});
