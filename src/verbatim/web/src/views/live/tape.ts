/** The last stretch of the audio, so that what a broken connection swallowed can be sent again. */

export class Tape {
  /** Bytes that were ever written. */
  end = 0;
  /** The oldest byte that is kept. */
  start = 0;
  readonly #pieces: Uint8Array[] = [];

  constructor(private readonly keptBytes: number) {}

  write(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.end += piece.length;
    for (;;) {
      const oldest = this.#pieces[0];
      if (!oldest || this.end - this.start - oldest.length < this.keptBytes) return;
      this.#pieces.shift();
      this.start += oldest.length;
    }
  }

  /** What was written from `from` on, in pieces; from the oldest byte where that is gone. */
  *read(from: number): Generator<Uint8Array> {
    let at = this.start;
    for (const piece of this.#pieces) {
      if (at + piece.length > from) yield from > at ? piece.subarray(from - at) : piece;
      at += piece.length;
    }
  }
}
