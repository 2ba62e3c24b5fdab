/** The answers of the API that the page uses, as docs/api.md describes them. */

export interface Word {
  /** Keeps its leading space: words joined are the segment's text. */
  word: string;
  start: number;
  end: number;
  probability?: number;
}

export interface Segment {
  start: number;
  end: number;
  text: string;
  words?: Word[] | null;
  language?: string | null;
}

export interface Warning {
  code: string;
  message: string;
  start: number | null;
  end: number | null;
}

export interface Transcript {
  text: string;
  task: string;
  language: string;
  language_probability: number;
  duration_s: number;
  speech_duration_s: number;
  model: string;
  processing_s?: number;
  segments: Segment[];
  warnings: Warning[];
}

export interface ErrorBody {
  message: string;
  code?: string | null;
  param?: string | null;
}

/** An event of `POST /v1/transcripts` as a stream. */
export type TranscriptEvent =
  | { type: 'queued'; position: number }
  | { type: 'started'; model: string; duration_s: number | null }
  | { type: 'progress'; done_s: number; total_s: number | null }
  | { type: 'segment'; segment: Segment }
  | { type: 'done'; transcript: Transcript }
  | { type: 'error'; error: ErrorBody };

export interface Health {
  status: string;
  model: string;
  model_loaded: boolean;
  version: string;
  warnings: { code: string; message: string }[];
}

export interface ServerModel {
  id: string;
  aliases: string[];
  source: string | null;
  on_disk: boolean;
  loaded: boolean;
  default: boolean;
  demo: boolean;
  languages: string[] | null;
}

export interface ServerModels {
  default: string;
  models: ServerModel[];
}
