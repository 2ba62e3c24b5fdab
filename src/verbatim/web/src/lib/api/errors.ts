/** What can go wrong between the page and its server, by what the user can do about it. */
import type { ErrorBody } from './types';

export type ErrorKind =
  | 'unreachable'
  | 'key'
  | 'forbidden'
  | 'refused'
  | 'too_large'
  | 'not_audio'
  | 'not_found'
  | 'busy'
  | 'unavailable'
  | 'full'
  | 'internal';

const KINDS: Record<number, ErrorKind> = {
  401: 'key',
  403: 'forbidden',
  404: 'not_found',
  413: 'too_large',
  415: 'not_audio',
  429: 'busy',
  502: 'unreachable',
  503: 'unavailable',
  504: 'unreachable',
  507: 'full',
};

export class ApiError extends Error {
  constructor(
    readonly kind: ErrorKind,
    /** The server's own words, in English; may be empty. */
    readonly detail: string,
    readonly code: string | null = null,
    readonly retryAfterS: number | null = null,
  ) {
    super(detail || kind);
    this.name = 'ApiError';
  }
}

/** The error that an answer with this status and body stands for. */
export function errorOf(status: number, body: string, retryAfter: string | null): ApiError {
  const told = parseBody(body);
  const kind = KINDS[status] ?? (status >= 500 ? 'internal' : 'refused');
  const wait = Number(retryAfter);
  return new ApiError(
    kind,
    told?.message ?? '',
    told?.code ?? null,
    retryAfter && Number.isFinite(wait) ? wait : null,
  );
}

/** The error of a stream that had begun; it has no status. */
export function streamError(told: ErrorBody): ApiError {
  const kinds: Record<string, ErrorKind> = {
    overloaded: 'busy',
    not_audio: 'not_audio',
    empty_audio: 'not_audio',
    no_audio_track: 'not_audio',
    encrypted_audio: 'not_audio',
    audio_too_long: 'too_large',
    model_not_found: 'not_found',
  };
  return new ApiError(kinds[told.code ?? ''] ?? 'internal', told.message, told.code ?? null);
}

export function unreachable(): ApiError {
  return new ApiError('unreachable', '');
}

/** Whether an exception means that somebody changed their mind. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

function parseBody(body: string): ErrorBody | null {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed !== 'object' || parsed === null) return null;
    if ('error' in parsed && typeof parsed.error === 'object') return parsed.error as ErrorBody;
    if ('detail' in parsed && typeof parsed.detail === 'string') return { message: parsed.detail };
  } catch {
    // A proxy's page: its status says enough.
  }
  return null;
}
