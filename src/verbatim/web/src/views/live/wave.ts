/** 16-bit blocks as a WAV file. */

const HEADER_BYTES = 44;
const BITS = 16;

export function waveFile(blocks: readonly Int16Array[], rate: number): Blob {
  const size = blocks.reduce((sum, block) => sum + block.byteLength, 0);
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  const text = (at: number, value: string): void => {
    for (let i = 0; i < value.length; i++) header.setUint8(at + i, value.charCodeAt(i));
  };
  text(0, 'RIFF');
  header.setUint32(4, HEADER_BYTES - 8 + size, true);
  text(8, 'WAVEfmt ');
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rate, true);
  header.setUint32(28, (rate * BITS) / 8, true);
  header.setUint16(32, BITS / 8, true);
  header.setUint16(34, BITS, true);
  text(36, 'data');
  header.setUint32(40, size, true);
  return new Blob([header, ...(blocks as Int16Array<ArrayBuffer>[])], { type: 'audio/wav' });
}
