import { describe, expect, it } from 'vitest';
import type { LiveEvent } from '../src/views/live/events';
import { Tape } from '../src/views/live/tape';
import { segmentsOf, spacedWords, withEvent, type Utterance } from '../src/views/live/utterances';
import { waveFile } from '../src/views/live/wave';

function told(change: Partial<LiveEvent>): LiveEvent {
  return {
    type: 'text',
    seq: 1,
    utterance: 0,
    is_final: false,
    committed: '',
    tail: '',
    words: [],
    start: 1,
    end: 2,
    language: 'en',
    ...change,
  } as LiveEvent;
}

const word = (text: string, start = 0) => ({
  word: text,
  start,
  end: start + 1,
  probability: 0.9,
});

describe('utterances', () => {
  it('follow the events, each in its place in the recording', () => {
    let all: readonly Utterance[] = [];
    all = withEvent(all, told({ committed: 'One', tail: ' tow' }), 0, 10);
    all = withEvent(all, told({ committed: 'One two', is_final: true }), 0, 10);
    all = withEvent(all, told({ utterance: 1, committed: 'Three' }), 0, 10);
    expect(all.map(({ committed, tail, final }) => [committed, tail, final])).toEqual([
      ['One two', '', true],
      ['Three', '', false],
    ]);
    expect(all[0]?.start).toBe(11);
  });

  it('that were no speech vanish', () => {
    const all = withEvent([], told({ committed: '', tail: 'uh' }), 0, 0);
    expect(withEvent(all, told({ committed: ' ', is_final: true }), 0, 0)).toEqual([]);
  });

  it('of another session of the recording are others', () => {
    const all = withEvent(withEvent([], told({ committed: 'a' }), 0, 0), told({}), 1, 5);
    expect(all.map(({ key }) => key)).toEqual(['0:0', '1:0']);
  });

  it('become segments; a guess counts where nothing more came', () => {
    const open = withEvent([], told({ committed: 'One', tail: ' two' }), 0, 0);
    expect(segmentsOf(open)[0]).toMatchObject({ text: 'One two', words: null });
  });
});

describe('words', () => {
  it('joined are the text', () => {
    const text = 'Good morning, all.';
    const words = spacedWords(text, [word('Good'), word('morning,'), word('all.')]);
    expect(words?.map((one) => one.word).join('')).toBe(text);
  });

  it('need no spaces between them', () => {
    const words = spacedWords('今天很好', [word('今天'), word('很'), word('好')]);
    expect(words?.map((one) => one.word)).toEqual(['今天', '很', '好']);
  });

  it.each([
    ['more text', 'One two', ['One']],
    ['other text', 'One two', ['One', 'three']],
    ['something between', 'One x two', ['One', 'two']],
    ['none', 'One', []],
  ])('are left out where there is %s', (_, text, words) => {
    expect(spacedWords(text, words.map(word.bind(null) as (w: string) => never))).toBeNull();
  });
});

describe('the tape', () => {
  const bytes = (from: number, to: number): Uint8Array =>
    Uint8Array.from({ length: to - from }, (_, i) => from + i);
  const read = (tape: Tape, from: number): number[] =>
    [...tape.read(from)].flatMap((one) => [...one]);

  it('gives again what was written, from anywhere', () => {
    const tape = new Tape(100);
    tape.write(bytes(0, 10));
    tape.write(bytes(10, 15));
    for (const from of [0, 3, 10, 12, 15]) expect(read(tape, from)).toEqual([...bytes(from, 15)]);
  });

  it('keeps at least as much as it should, and not much more', () => {
    const tape = new Tape(20);
    for (let at = 0; at < 200; at += 10) tape.write(bytes(at, at + 10));
    expect(tape.end).toBe(200);
    expect(tape.start).toBe(180);
    expect(read(tape, 0)).toEqual([...bytes(180, 200)]);
  });
});

describe('a WAV file', () => {
  it('has a header that counts its samples', async () => {
    const file = waveFile([Int16Array.from([1, -2]), Int16Array.from([3])], 16_000);
    const view = new DataView(await file.arrayBuffer());
    expect(view.byteLength).toBe(44 + 6);
    expect(view.getUint32(24, true)).toBe(16_000);
    expect(view.getUint32(40, true)).toBe(6);
    expect(view.getInt16(46, true)).toBe(-2);
  });
});
