/** The recordings that this page is having transcribed: one after the other. */
import { ApiError, isAbort } from '$lib/api/errors';
import { server } from '$lib/api/server.svelte';
import { transcribe, type TranscribeOptions } from '$lib/api/transcribe';
import type { Segment, Transcript, TranscriptEvent } from '$lib/api/types';
import { history } from '$lib/history/history.svelte';
import { prefs } from '$lib/prefs.svelte';
import { remaining } from './remaining';

export type Stage = 'waiting' | 'sending' | 'queued' | 'working' | 'busy';

const MS_PER_S = 1000;
const SAVE_MS = 400;
const BUSY_WAIT_S = 5;
/** With the usual wait, some ten minutes. */
const MOST_TRIES = 120;
const DURATION_UNKNOWN = null;

/** One recording on its way. */
export class Run {
  stage = $state<Stage>('waiting');
  /** Share of the file that is sent, 0 to 1. */
  sent = $state(0);
  /** Place in the server's line; 1 is next. */
  position = $state<number | null>(null);
  doneS = $state(0);
  totalS = $state<number | null>(DURATION_UNKNOWN);
  remainingS = $state<number | null>(null);
  /** When a busy server is asked again. */
  retryAt = $state<number | null>(null);
  segments = $state.raw<readonly Segment[]>([]);
  readonly controller = new AbortController();
  #startedMs = 0;

  constructor(
    readonly id: string,
    readonly file: Blob,
    readonly name: string,
    readonly options: TranscribeOptions,
  ) {}

  /** How far it is on the server, 0 to 1; null where that is not known. */
  get share(): number | null {
    return this.totalS ? Math.min(1, this.doneS / this.totalS) : null;
  }

  begin(): void {
    this.stage = 'sending';
    this.sent = 0;
    this.position = null;
    this.doneS = 0;
    this.remainingS = null;
    this.retryAt = null;
    this.segments = [];
  }

  take(event: TranscriptEvent): void {
    switch (event.type) {
      case 'queued':
        this.stage = 'queued';
        this.position = event.position;
        break;
      case 'started':
        this.stage = 'working';
        this.totalS = event.duration_s;
        this.#startedMs = performance.now();
        break;
      case 'progress':
        this.stage = 'working';
        this.doneS = event.done_s;
        this.totalS = event.total_s ?? this.totalS;
        this.remainingS = remaining(
          this.doneS,
          this.totalS,
          (performance.now() - this.#startedMs) / MS_PER_S,
        );
        break;
      case 'segment':
        this.stage = 'working';
        this.segments = [...this.segments, event.segment];
        break;
    }
  }
}

class Runs {
  /** In the order in which they were asked for. */
  list = $state.raw<readonly Run[]>([]);
  /** Entries that this page asked for, the newest first, until they are put away. */
  shown = $state.raw<readonly string[]>([]);
  #busy = false;

  find(id: string): Run | undefined {
    return this.list.find((run) => run.id === id);
  }

  /** Transcribe files, one after the other. */
  async start(files: readonly File[], options: TranscribeOptions): Promise<void> {
    for (const file of files) {
      const media = file.type.startsWith('video/') ? 'video' : 'audio';
      const entry = await history.add(
        { name: file.name, origin: 'page', media, sizeBytes: file.size, options: { ...options } },
        file,
      );
      this.#enter(new Run(entry.id, file, file.name, { ...options }));
      if (prefs.keepAudio) void this.#keep(entry.id, file);
    }
  }

  /** Run an entry again whose recording is still here; false where it is not. */
  async again(id: string): Promise<boolean> {
    const entry = history.find(id);
    const file = await history.media(id);
    if (!entry || !file || this.find(id)) return false;
    await history.adopt(id);
    this.#enter(new Run(id, file, entry.name, entry.options));
    return true;
  }

  cancel(id: string): void {
    const run = this.find(id);
    run?.controller.abort();
    if (run?.stage === 'waiting') void this.#leave(run, { status: 'cancelled' });
  }

  /** Take a finished one out of the list; it stays in the history. */
  putAway(id: string): void {
    this.shown = this.shown.filter((other) => other !== id);
  }

  #enter(run: Run): void {
    this.list = [...this.list, run];
    this.shown = [run.id, ...this.shown.filter((id) => id !== run.id)];
    void this.#pump();
  }

  async #pump(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (let run = this.list[0]; run; run = this.list[0]) await this.#work(run);
    this.#busy = false;
  }

  async #work(run: Run): Promise<void> {
    await history.update(run.id, { status: 'running' });
    const saver = new Saver(run);
    try {
      const transcript = await this.#attempts(run, saver);
      // What it would still write has no warnings, and would take the place of the whole.
      saver.stop();
      await this.#finish(run, transcript);
    } catch (error) {
      await saver.flush();
      if (isAbort(error)) await this.#leave(run, { status: 'cancelled' });
      else await this.#fail(run, error);
    }
  }

  /** Ask until the server has a place, or says something else. */
  async #attempts(run: Run, saver: Saver): Promise<Transcript> {
    for (let tries = 1; ; tries += 1) {
      run.begin();
      const listener = {
        onSent: (share: number) => (run.sent = share),
        onEvent: (event: TranscriptEvent) => {
          run.take(event);
          if (event.type === 'segment') saver.note();
        },
      };
      try {
        return await transcribe(run.file, run.name, run.options, listener, run.controller.signal);
      } catch (error) {
        const full = error instanceof ApiError && error.kind === 'busy';
        if (!full || tries === MOST_TRIES || error.code === 'insufficient_quota') throw error;
        await pause(run, error.retryAfterS ?? BUSY_WAIT_S);
      }
    }
  }

  async #finish(run: Run, transcript: Transcript): Promise<void> {
    const { segments, warnings, language, model, duration_s } = transcript;
    await history.setText({ id: run.id, segments, warnings });
    await this.#leave(run, { status: 'done', language, model, durationS: duration_s });
  }

  async #fail(run: Run, error: unknown): Promise<void> {
    const known = error instanceof ApiError ? error : new ApiError('internal', String(error));
    if (known.kind === 'unreachable') server.check();
    await this.#leave(run, {
      status: 'failed',
      error: { kind: known.kind, detail: known.detail },
    });
  }

  async #leave(run: Run, change: Parameters<typeof history.update>[1]): Promise<void> {
    await history.update(run.id, change);
    this.list = this.list.filter((other) => other !== run);
  }

  async #keep(id: string, file: Blob): Promise<void> {
    try {
      await history.keepMedia(id, file);
    } catch {
      // No room in this browser: the text is kept all the same, and the entry says that the sound is not.
      await history.update(id, { hasMedia: false });
    }
  }
}

/** Writes what came so far to the history, now and then. */
class Saver {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly run: Run) {}

  note(): void {
    this.#timer ??= setTimeout(() => void this.flush(), SAVE_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async flush(): Promise<void> {
    this.stop();
    const { id, segments, stage } = this.run;
    if (stage === 'working') await history.setText({ id, segments: [...segments], warnings: [] });
  }
}

/** Wait for a busy server; an AbortError where the user gave up. */
function pause(run: Run, seconds: number): Promise<void> {
  run.stage = 'busy';
  run.retryAt = Date.now() + seconds * MS_PER_S;
  const { signal } = run.controller;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, seconds * MS_PER_S);
    function done(): void {
      signal.removeEventListener('abort', gaveUp);
      resolve();
    }
    function gaveUp(): void {
      clearTimeout(timer);
      reject(new DOMException('cancelled', 'AbortError'));
    }
    signal.addEventListener('abort', gaveUp, { once: true });
  });
}

export const runs = new Runs();
