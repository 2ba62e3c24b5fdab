/** How loud samples are, as a meter shows it. */

const QUIETEST_DB = -60;
const DB_PER_DECADE = 20;

/** @returns 0 (at or below -60 dB of full scale) to 1 (full scale), of the root mean square. */
export function levelOf(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  const db = DB_PER_DECADE * Math.log10(Math.max(rms, 1e-9));
  return Math.min(1, Math.max(0, 1 - db / QUIETEST_DB));
}
