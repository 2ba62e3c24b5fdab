import { describe, expect, it } from 'vitest';
import { CALLS, example } from '../src/views/server/calls';

describe('an example call', () => {
  it.each(CALLS)('names this server: %s', (call) => {
    expect(example(call, 'http://speech:8000', false)).toContain('speech:8000/v1');
  });

  it.each(CALLS)('shows where the key goes, only where one is needed: %s', (call) => {
    expect(example(call, 'http://speech:8000', true)).toContain('YOUR_KEY');
    expect(example(call, 'http://speech:8000', false)).not.toContain('YOUR_KEY');
  });

  it('speaks to a live session over TLS where the page came over TLS', () => {
    expect(example('live', 'https://speech', false)).toContain('"wss://speech/v1/live"');
  });
});
