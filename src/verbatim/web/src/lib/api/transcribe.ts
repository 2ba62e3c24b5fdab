/** One recording to text: sends the file, tells how far it is, then what the server tells. */
import { address, authorization, mayTryAgain } from './client';
import { ApiError, errorOf, streamError, unreachable } from './errors';
import { EventReader } from './sse';
import type { Transcript, TranscriptEvent } from './types';

export interface TranscribeOptions {
  model?: string;
  language?: string;
  task?: 'transcribe' | 'translate';
  prompt?: string;
  script?: string;
}

export interface Listener {
  /** How much of the file is sent, 0 to 1. */
  onSent: (share: number) => void;
  onEvent: (event: TranscriptEvent) => void;
}

const PATH = 'v1/transcripts';

/**
 * Transcribe a file.
 *
 * @throws ApiError; an AbortError after `signal`.
 */
export async function transcribe(
  file: Blob,
  name: string,
  options: TranscribeOptions,
  listener: Listener,
  signal: AbortSignal,
): Promise<Transcript> {
  for (;;) {
    try {
      return await attempt(formOf(file, name, options), listener, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || !(await mayTryAgain(error, 'use', true))) throw error;
    }
  }
}

function formOf(file: Blob, name: string, options: TranscribeOptions): FormData {
  const form = new FormData();
  for (const [field, value] of Object.entries(options)) if (value) form.set(field, value);
  form.set('stream', 'true');
  form.set('file', file, name);
  return form;
}

/** With XMLHttpRequest, because fetch does not tell how much of a body is sent. */
function attempt(form: FormData, listener: Listener, signal: AbortSignal): Promise<Transcript> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const reader = new EventReader();
    let seen = 0;
    let ended = false;

    const end = (settle: () => void): void => {
      if (ended) return;
      ended = true;
      signal.removeEventListener('abort', abort);
      settle();
    };
    const abort = (): void => {
      end(() => reject(new DOMException('cancelled', 'AbortError')));
      request.abort();
    };
    const readOn = (): void => {
      if (request.status !== 200) return;
      const piece = request.responseText.slice(seen);
      seen += piece.length;
      for (const data of reader.read(piece)) {
        const event = JSON.parse(data) as TranscriptEvent;
        if (event.type === 'done') end(() => resolve(event.transcript));
        else if (event.type === 'error') end(() => reject(streamError(event.error)));
        else if (!ended) listener.onEvent(event);
      }
    };

    request.upload.onprogress = ({ loaded, total }) => listener.onSent(total ? loaded / total : 0);
    request.onprogress = readOn;
    request.onload = () => {
      readOn();
      const refused = request.status !== 200;
      end(() =>
        reject(
          refused
            ? errorOf(
                request.status,
                request.responseText,
                request.getResponseHeader('retry-after'),
              )
            : unreachable(),
        ),
      );
    };
    // Also where the server answers before it has read the whole file, and closes.
    request.onerror = () => end(() => reject(unreachable()));

    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener('abort', abort);
    request.open('POST', address(PATH));
    request.setRequestHeader('Accept', 'text/event-stream');
    for (const [field, value] of Object.entries(authorization('use'))) {
      request.setRequestHeader(field, value);
    }
    request.send(form);
  });
}
