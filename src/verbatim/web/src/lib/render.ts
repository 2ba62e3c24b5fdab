/** A transcript as a file: the server writes it, so it is the same as from the API. */
import { send } from '$lib/api/client';
import type { Entry, Text } from '$lib/history/types';
import { read, write } from '$lib/storage';

export const FORMATS = ['txt', 'srt', 'vtt', 'json', 'tsv'] as const;
export type Format = (typeof FORMATS)[number];

const CHOSEN = 'verbatim.format';
const SERVER_NAMES: Record<Format, string> = {
  txt: 'text',
  srt: 'srt',
  vtt: 'vtt',
  json: 'verbose_json',
  tsv: 'tsv',
};

export function chosenFormat(): Format {
  return FORMATS.find((format) => format === read(CHOSEN)) ?? 'txt';
}

export function chooseFormat(format: Format): void {
  write(CHOSEN, format);
}

/** @throws ApiError */
export async function rendered(entry: Entry, text: Text, format: Format): Promise<Blob> {
  const json = {
    format: SERVER_NAMES[format],
    transcript: {
      segments: text.segments,
      warnings: text.warnings,
      language: entry.language ?? undefined,
      duration_s: entry.durationS ?? undefined,
      model: entry.model ?? undefined,
      task: entry.options.task ?? 'transcribe',
    },
    options: { words: true },
  };
  const response = await send('v1/transcripts/render', { method: 'POST', json, asks: true });
  return response.blob();
}

/** "talk.mp4" as srt → "talk.srt". */
export function fileName(name: string, format: Format): string {
  return `${name.replace(/\.[a-z0-9]{1,5}$/i, '') || 'transcript'}.${format}`;
}

/** The whole text, a paragraph for each segment that ends a sentence. */
export function plainText(text: Text): string {
  return text.segments.map((segment) => segment.text.trim()).join('\n');
}
