/** In the browser's audio thread: floats in, 16-bit blocks out. */

// Of the audio thread's own world, which TypeScript's DOM does not describe.
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, type: typeof AudioWorkletProcessor): void;
declare const sampleRate: number;

const BLOCK_S = 0.1;
const FULL_SCALE = 32767;

class Capture extends AudioWorkletProcessor {
  #block = new Int16Array(Math.round(sampleRate * BLOCK_S));
  #filled = 0;

  process(inputs: Float32Array[][]): boolean {
    for (const value of inputs[0]?.[0] ?? []) {
      this.#block[this.#filled] = Math.max(-1, Math.min(1, value)) * FULL_SCALE;
      this.#filled += 1;
      if (this.#filled === this.#block.length) {
        this.port.postMessage(this.#block, [this.#block.buffer]);
        this.#block = new Int16Array(Math.round(sampleRate * BLOCK_S));
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor('capture', Capture);
