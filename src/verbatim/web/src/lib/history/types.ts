import type { TranscribeOptions } from '$lib/api/transcribe';
import type { ErrorKind } from '$lib/api/errors';
import type { Segment, Warning } from '$lib/api/types';

/** `interrupted`: the page went away in the middle; what had come is kept. */
export type Status = 'waiting' | 'running' | 'done' | 'interrupted' | 'failed' | 'cancelled';

export const UNFINISHED: readonly Status[] = ['waiting', 'running'];

/** A line of the history, without the text. */
export interface Entry {
  id: string;
  /** What the user sees; the file's name at first. */
  name: string;
  /** Where the work runs: in this page, or on the server as a durable job. */
  origin: 'page' | 'live' | 'job';
  status: Status;
  createdAt: number;
  media: 'audio' | 'video';
  sizeBytes: number;
  options: TranscribeOptions;
  /** Of the page that runs it; when that is gone, the entry is interrupted. */
  owner: string;
  hasMedia: boolean;
  edited: boolean;
  language: string | null;
  model: string | null;
  durationS: number | null;
  /** The beginning of the text, to know it again. */
  preview: string;
  error: { kind: ErrorKind; detail: string } | null;
}

/** The text of an entry. */
export interface Text {
  id: string;
  segments: Segment[];
  warnings: Warning[];
}
