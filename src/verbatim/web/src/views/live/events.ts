/** The messages of `/v1/live`, as docs/live.md describes them. */
import type { ErrorBody } from '$lib/api/types';

export interface LiveWord {
  word: string;
  start: number;
  end: number;
  probability: number;
}

export interface TextEvent {
  type: 'text';
  seq: number;
  utterance: number;
  is_final: boolean;
  /** Never taken back: it only grows. */
  committed: string;
  /** A guess at what follows, with the space before it; it may change. */
  tail: string;
  words: LiveWord[];
  start: number;
  end: number;
  language: string;
}

export type LiveEvent =
  | TextEvent
  | { type: 'speech_started'; seq: number; utterance: number; start: number }
  | { type: 'speech_stopped'; seq: number; utterance: number; end: number }
  | { type: 'utterance_ended'; seq: number; utterance: number; start: number; end: number }
  | { type: 'failed'; seq: number; utterance: number; error: ErrorBody }
  | { type: 'cleared'; seq: number; utterance: number | null }
  | { type: 'ended'; seq: number; reason: string; audio_s: number };

export interface ReadyMessage {
  type: 'ready';
  session: string;
  resume_s: number;
  /** Of this session's audio. */
  received_bytes: number;
  model: string;
}

export type LiveMessage = LiveEvent | ReadyMessage | { type: 'error'; error: ErrorBody };

/** How to listen. */
export interface LiveWish {
  language: string;
  model: string;
  /** How Chinese is written. */
  script: string;
}
