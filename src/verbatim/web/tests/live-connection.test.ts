import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ErrorBody } from '$lib/api/types';
import { LiveConnection, type LiveState } from '../src/views/live/connection';
import type { LiveEvent, LiveMessage } from '../src/views/live/events';

const RATE = 100;

class FakeSocket {
  static readonly all: FakeSocket[] = [];
  binaryType = '';
  bufferedAmount = 0;
  closed: number | null = null;
  readonly said: Record<string, unknown>[] = [];
  audio: number[] = [];
  onopen: () => void = () => undefined;
  onmessage: (event: { data: string }) => void = () => undefined;
  onclose: () => void = () => undefined;

  constructor() {
    FakeSocket.all.push(this);
  }

  send(data: string | Uint8Array): void {
    if (typeof data === 'string') this.said.push(JSON.parse(data) as Record<string, unknown>);
    else {
      const bytes = data.slice();
      this.audio.push(...new Int16Array(bytes.buffer, 0, bytes.length / 2));
    }
  }

  close(code: number): void {
    this.closed = code;
    this.onclose();
  }

  tell(message: LiveMessage): void {
    this.onmessage({ data: JSON.stringify(message) });
  }

  ready(received = 0): void {
    this.onopen();
    this.tell({
      type: 'ready',
      session: 's1',
      resume_s: 15,
      received_bytes: received,
      model: 'small',
    });
  }
}

function text(seq: number, change: Partial<LiveEvent> = {}): LiveEvent {
  return {
    type: 'text',
    seq,
    utterance: 0,
    is_final: false,
    committed: 'One',
    tail: ' two',
    words: [],
    start: 0,
    end: 1,
    language: 'en',
    ...change,
  } as LiveEvent;
}

function setUp() {
  const states: LiveState[] = [];
  const events: { event: LiveEvent; offsetS: number }[] = [];
  const errors: ErrorBody[] = [];
  let restarts = 0;
  const connection = new LiveConnection(
    () => new FakeSocket() as unknown as WebSocket,
    RATE,
    { language: 'en', model: '', script: '' },
    {
      onstate: (state) => states.push(state),
      onevent: (event, offsetS) => events.push({ event, offsetS }),
      onrestart: () => (restarts += 1),
      onmodel: () => undefined,
      onerror: (error) => errors.push(error),
    },
    () => Date.now(),
  );
  return { connection, states, events, errors, restarts: () => restarts };
}

function socket(number: number): FakeSocket {
  const found = FakeSocket.all[number];
  if (!found) throw new Error(`there is no connection ${number}`);
  return found;
}

const count = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all.length = 0;
});
afterEach(() => vi.useRealTimers());

describe('a live connection', () => {
  it('sends what was said while it was being made', () => {
    const { connection, states } = setUp();
    connection.feed(Int16Array.from(count(0, 10)));
    expect(socket(0).audio).toEqual([]);
    socket(0).ready();
    connection.feed(Int16Array.from(count(10, 15)));
    expect(socket(0).said[0]).toEqual({
      type: 'start',
      format: 'pcm16',
      rate: RATE,
      language: 'en',
    });
    expect(socket(0).audio).toEqual(count(0, 15));
    expect(states).toEqual(['listening']);
  });

  it('ends with all text: finish is said after the last audio', () => {
    const { connection, states, events } = setUp();
    socket(0).ready();
    connection.feed(Int16Array.from(count(0, 5)));
    connection.finish();
    connection.feed(Int16Array.from([99]));
    expect(socket(0).audio).toEqual(count(0, 5));
    expect(socket(0).said.at(-1)).toEqual({ type: 'finish' });
    socket(0).tell(text(1, { is_final: true }));
    socket(0).tell({ type: 'ended', seq: 2, reason: 'finished', audio_s: 0.05 });
    expect(events.length).toBe(2);
    expect(states).toEqual(['listening', 'finishing', 'ended']);
    expect(socket(0).closed).toBe(1000);
  });

  it('goes on after a break, and sends again what the server did not get', () => {
    const { connection, states } = setUp();
    socket(0).ready();
    connection.feed(Int16Array.from(count(0, 20)));
    socket(0).tell(text(7));
    socket(0).onclose();
    connection.feed(Int16Array.from(count(20, 30)));
    vi.advanceTimersByTime(300);
    socket(1).ready(2 * 12);
    expect(socket(1).said).toEqual([{ type: 'resume', session: 's1', received: 7 }]);
    expect(socket(1).audio).toEqual(count(12, 30));
    expect(states).toEqual(['listening', 'reconnecting', 'listening']);
  });

  it('begins another session where the last final text ended, if the server forgot', () => {
    const { connection, events, restarts } = setUp();
    socket(0).ready();
    connection.feed(Int16Array.from(count(0, 100)));
    socket(0).tell(text(1, { is_final: true, end: 0.4 }));
    socket(0).tell(text(2, { utterance: 1 } as Partial<LiveEvent>));
    socket(0).onclose();
    vi.advanceTimersByTime(300);
    socket(1).onopen();
    socket(1).tell({ type: 'error', error: { message: 'gone', code: 'session_not_found' } });
    socket(1).onclose();
    vi.advanceTimersByTime(600);
    socket(2).ready();
    expect(restarts()).toBe(1);
    expect(socket(2).said[0]?.['type']).toBe('start');
    expect(socket(2).audio).toEqual(count(40, 100));
    socket(2).tell(text(1));
    expect(events.at(-1)?.offsetS).toBeCloseTo(0.4);
  });

  it('stopped while the connection is broken, still gets its last words', () => {
    const { connection, states } = setUp();
    socket(0).ready();
    connection.feed(Int16Array.from(count(0, 4)));
    socket(0).onclose();
    connection.feed(Int16Array.from(count(4, 8)));
    connection.finish();
    vi.advanceTimersByTime(300);
    socket(1).ready(8);
    expect(socket(1).audio).toEqual(count(4, 8));
    expect(socket(1).said.at(-1)).toEqual({ type: 'finish' });
    expect(states.at(-1)).toBe('finishing');
  });

  it('does not wait for ever for the last words', () => {
    const { connection, states } = setUp();
    socket(0).ready();
    connection.finish();
    vi.advanceTimersByTime(30_000);
    expect(states.at(-1)).toBe('ended');
  });

  it('gives up a server that does not come back', () => {
    const { states, errors } = setUp();
    socket(0).ready();
    socket(0).onclose();
    for (let i = 1; i < 200 && states.at(-1) !== 'ended'; i += 1) {
      vi.advanceTimersByTime(2000);
      FakeSocket.all.at(-1)?.onclose();
    }
    expect(states.at(-1)).toBe('ended');
    expect(errors).toEqual([{ message: '', code: 'unreachable' }]);
  });

  it('tells why it was not let in, and does not try again', () => {
    const { states, errors } = setUp();
    socket(0).onopen();
    socket(0).tell({ type: 'error', error: { message: 'All places are taken.', code: 'busy' } });
    socket(0).onclose();
    vi.advanceTimersByTime(10_000);
    expect(errors).toEqual([{ message: 'All places are taken.', code: 'busy' }]);
    expect(states).toEqual(['ended']);
    expect(FakeSocket.all.length).toBe(1);
  });

  it('never reached, says so at once', () => {
    const { states, errors } = setUp();
    socket(0).onclose();
    expect(errors).toEqual([{ message: '', code: 'unreachable' }]);
    expect(states).toEqual(['ended']);
  });

  it('keeps audio back from a connection that does not take it', () => {
    const { connection } = setUp();
    socket(0).ready();
    socket(0).bufferedAmount = 1e9;
    connection.feed(Int16Array.from(count(0, 5)));
    expect(socket(0).audio).toEqual([]);
    connection.finish();
    socket(0).bufferedAmount = 0;
    vi.advanceTimersByTime(300);
    expect(socket(0).audio).toEqual(count(0, 5));
    expect(socket(0).said.at(-1)).toEqual({ type: 'finish' });
  });
});
