/** The outline of a recording. */
import type { Segment } from '$lib/api/types';

export const PEAKS = 1200;
const RATE_HZ = 8000;
/** Decoding takes 4 bytes a sample: about 230 MB for this long. */
const LONGEST_S = 2 * 3600;
const LARGEST_BYTES = 400 * 1024 * 1024;
const SPEECH = 0.55;
const SILENCE = 0.06;

/** The loudest sample of each equal stretch, 0 to 1 of the loudest of all; null where it is too long to decode. */
export async function peaksOf(file: Blob, durationS: number | null): Promise<Float32Array | null> {
  if (file.size > LARGEST_BYTES || (durationS ?? 0) > LONGEST_S) return null;
  try {
    const context = new OfflineAudioContext(1, 1, RATE_HZ);
    const audio = await context.decodeAudioData(await file.arrayBuffer());
    return loudest(audio.getChannelData(0), PEAKS);
  } catch {
    // A format that this browser does not decode; the server did.
    return null;
  }
}

export function loudest(samples: Float32Array, count: number): Float32Array {
  const peaks = new Float32Array(count);
  let top = 0;
  for (let index = 0; index < count; index += 1) {
    const from = Math.floor((index * samples.length) / count);
    const to = Math.floor(((index + 1) * samples.length) / count);
    let peak = 0;
    for (let at = from; at < to; at += 1) peak = Math.max(peak, Math.abs(samples[at] ?? 0));
    peaks[index] = peak;
    top = Math.max(top, peak);
  }
  return top > 0 ? peaks.map((peak) => peak / top) : peaks;
}

/** An outline that shows where somebody speaks, for recordings that cannot be decoded here. */
export function outline(
  segments: readonly Segment[],
  durationS: number,
  count: number,
): Float32Array {
  const peaks = new Float32Array(count).fill(SILENCE);
  if (durationS <= 0) return peaks;
  for (const { start, end } of segments) {
    peaks.fill(
      SPEECH,
      Math.floor((start / durationS) * count),
      Math.ceil((end / durationS) * count),
    );
  }
  return peaks;
}
