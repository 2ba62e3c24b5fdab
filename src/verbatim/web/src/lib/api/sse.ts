/** Reads server-sent events from text that arrives in pieces of any size. */
export class EventReader {
  #rest = '';

  /** The `data` of the events that this piece completes. */
  *read(piece: string): Generator<string> {
    const blocks = (this.#rest + piece).split(/\r?\n\r?\n/);
    this.#rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = block
        .split(/\r?\n/)
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice('data:'.length).replace(/^ /, ''));
      if (data.length) yield data.join('\n');
    }
  }
}
