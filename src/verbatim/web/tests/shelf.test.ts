import 'fake-indexeddb/auto';
import { describe, expect, it } from 'vitest';
import { MemoryShelf, openShelf, type Shelf } from '../src/lib/history/shelf';

const KINDS: [string, () => Promise<Shelf>][] = [
  ['IndexedDB', openShelf],
  ['memory', () => Promise.resolve(new MemoryShelf())],
];

describe.each(KINDS)('a shelf in %s', (_, open) => {
  it('gives back what was put', async () => {
    const shelf = await open();
    await shelf.put('texts', { id: 'a', segments: [], warnings: [] });
    expect(await shelf.get('texts', 'a')).toEqual({ id: 'a', segments: [], warnings: [] });
    expect(await shelf.get('texts', 'b')).toBeUndefined();
  });

  it('takes all of an entry away, and nothing else', async () => {
    const shelf = await open();
    for (const id of ['a', 'b']) {
      await shelf.put('texts', { id, segments: [], warnings: [] });
      await shelf.put('peaks', { id, values: new Float32Array(2) });
    }
    await shelf.remove('a');
    expect((await shelf.all('texts')).map(({ id }) => id)).toEqual(['b']);
    expect((await shelf.all('peaks')).map(({ id }) => id)).toEqual(['b']);
    await shelf.drop('peaks', 'b');
    expect(await shelf.all('peaks')).toEqual([]);
    expect(await shelf.all('texts')).toHaveLength(1);
  });
});

it('what IndexedDB holds is there for the next page', async () => {
  await (await openShelf()).put('texts', { id: 'kept', segments: [], warnings: [] });
  expect(await (await openShelf()).get('texts', 'kept')).toBeDefined();
});
