/** The live session of the page. It goes on while other views are looked at. */
import { address, getJson } from '$lib/api/client';
import { ApiError } from '$lib/api/errors';
import { keys } from '$lib/api/keys.svelte';
import type { ErrorBody } from '$lib/api/types';
import { history } from '$lib/history/history.svelte';
import type { Entry } from '$lib/history/types';
import { dateTime } from '$lib/i18n/format';
import { locale } from '$lib/i18n/locale.svelte';
import { levelOf } from '$lib/level';
import { MicrophoneError, type MicrophoneFault } from '$lib/microphone';
import { prefs } from '$lib/prefs.svelte';
import { read, write } from '$lib/storage';
import { capture, type Capture } from './capture';
import { LiveConnection, type LiveState } from './connection';
import type { LiveEvent } from './events';
import { t } from './strings';
import { segmentsOf, withEvent, type Utterance } from './utterances';
import { waveFile } from './wave';

const LANGUAGE = 'verbatim.live-language';
const DEVICE = 'verbatim.live-microphone';
const SCRIPT = 'verbatim.live-script';
const FULL_SCALE = 32_768;
/** Longer recordings are kept without their sound, which lies in memory until they end. */
const MAX_KEPT_S = 2 * 3600;
/** So often at most what was said is written down. */
const KEEP_MS = 2000;

export type LivePhase = 'idle' | 'starting' | LiveState;
export type LiveFault =
  { kind: 'microphone'; fault: MicrophoneFault } | { kind: 'server'; error: ErrorBody | ApiError };

class Live {
  phase = $state<LivePhase>('idle');
  utterances = $state.raw<readonly Utterance[]>([]);
  level = $state(0);
  seconds = $state(0);
  speaking = $state(false);
  fault = $state.raw<LiveFault | null>(null);
  /** Where what is said is kept. */
  entryId = $state<string | null>(null);
  language = $state(read(LANGUAGE) ?? '');
  device = $state(read(DEVICE) ?? '');
  /** Who reads the page in Traditional Chinese wants the same of Chinese speech. */
  script = $state(read(SCRIPT) ?? (locale.current === 'zh-TW' ? 's2twp' : ''));

  #capture: Capture | null = null;
  #connection: LiveConnection | null = null;
  #blocks: Int16Array[] = [];
  #part = 0;
  #model = '';
  #keeping: ReturnType<typeof setTimeout> | undefined;
  #awake: WakeLockSentinel | null = null;

  get running(): boolean {
    return this.phase !== 'idle' && this.phase !== 'ended';
  }

  async start(): Promise<void> {
    if (this.running) return;
    this.phase = 'starting';
    this.fault = null;
    this.utterances = [];
    this.seconds = 0;
    this.entryId = null;
    this.#blocks = [];
    this.#part = 0;
    write(LANGUAGE, this.language);
    write(DEVICE, this.device);
    write(SCRIPT, this.script);
    try {
      // A browser does not tell why it was not let in to a WebSocket; here the key is asked for.
      await getJson('v1/server/status', { asks: true });
      this.#capture = await capture(
        this.device,
        (samples) => this.#hear(samples),
        () => this.stop(),
      );
    } catch (error) {
      this.phase = 'idle';
      this.fault =
        error instanceof MicrophoneError
          ? { kind: 'microphone', fault: error.fault }
          : { kind: 'server', error: error instanceof ApiError ? error : { message: '' } };
      return;
    }
    this.#connect(this.#capture.rate);
    void this.#stayAwake();
  }

  stop(): void {
    this.#capture?.stop();
    this.#capture = null;
    this.level = 0;
    this.speaking = false;
    void this.#awake?.release();
    this.#awake = null;
    this.#connection?.finish();
  }

  #connect(rate: number): void {
    this.phase = 'connecting';
    this.#connection = new LiveConnection(
      openSocket,
      rate,
      { language: this.language, model: '', script: this.script },
      {
        onstate: (state) => this.#changed(state, rate),
        onevent: (event, offsetS) => this.#told(event, offsetS),
        onrestart: () => {
          this.#part += 1;
          this.utterances = this.utterances.filter(({ final }) => final);
        },
        onmodel: (model) => (this.#model = model),
        onerror: (error) => (this.fault = { kind: 'server', error }),
      },
    );
  }

  #hear(samples: Int16Array): void {
    const connection = this.#connection;
    if (!connection) return;
    this.level = levelOf(Float32Array.from(samples, (value) => value / FULL_SCALE));
    connection.feed(samples);
    this.seconds = connection.seconds;
    if (prefs.keepAudio && this.seconds <= MAX_KEPT_S) this.#blocks.push(samples);
    else this.#blocks = [];
  }

  #told(event: LiveEvent, offsetS: number): void {
    if (event.type === 'speech_started') this.speaking = true;
    if (event.type === 'speech_stopped') this.speaking = false;
    if (event.type === 'failed') this.fault = { kind: 'server', error: event.error };
    this.utterances = withEvent(this.utterances, event, this.#part, offsetS);
    if (event.type === 'text' && event.committed && !this.#keeping)
      this.#keeping = setTimeout(() => void this.#keep(), KEEP_MS);
  }

  #changed(state: LiveState, rate: number): void {
    this.phase = state;
    if (state !== 'ended') return;
    if (this.#capture) this.stop();
    void this.#close(rate);
  }

  async #close(rate: number): Promise<void> {
    // What never became final is all there is of it.
    this.utterances = this.utterances.map((utterance) =>
      utterance.final
        ? utterance
        : {
            ...utterance,
            committed: (utterance.committed + utterance.tail).trim(),
            tail: '',
            words: [],
            final: true,
          },
    );
    await this.#keep();
    const id = this.entryId;
    if (!id) return;
    const blocks = this.#blocks;
    this.#blocks = [];
    if (blocks.length) {
      try {
        const file = waveFile(blocks, rate);
        await history.keepMedia(id, file);
        await history.update(id, { sizeBytes: file.size });
      } catch {
        // No room in the browser: the text is kept without its sound.
      }
    }
    await history.update(id, { status: 'done', durationS: this.seconds });
  }

  /** Write down what was said so far. */
  async #keep(): Promise<void> {
    clearTimeout(this.#keeping);
    this.#keeping = undefined;
    const segments = segmentsOf(this.utterances);
    if (!segments.length) return;
    this.entryId ??= (await this.#begin()).id;
    await history.setText({ id: this.entryId, segments, warnings: [] });
    const spoken = mostSpoken(this.utterances);
    await history.update(this.entryId, {
      durationS: this.seconds,
      model: this.#model,
      language: spoken,
    });
  }

  async #begin(): Promise<Entry> {
    const name = t().recordingName(dateTime(Date.now()));
    const options = this.language ? { language: this.language } : {};
    const wish = { name, origin: 'live', media: 'audio', sizeBytes: 0, options } as const;
    const entry = await history.add(wish, null);
    await history.update(entry.id, { status: 'running' });
    return entry;
  }

  async #stayAwake(): Promise<void> {
    try {
      this.#awake = await navigator.wakeLock.request('screen');
    } catch {
      // Not every browser can, and it only spares the user a touch.
    }
  }
}

function openSocket(): WebSocket {
  const key = keys.get('use');
  const protocols = key === null ? ['verbatim'] : ['verbatim', `verbatim.key.${key}`];
  return new WebSocket(address('v1/live').replace(/^http/, 'ws'), protocols);
}

/** The language of most of the text. */
function mostSpoken(utterances: readonly Utterance[]): string | null {
  const chars = new Map<string, number>();
  for (const { language, committed } of utterances)
    chars.set(language, (chars.get(language) ?? 0) + committed.length);
  const most = [...chars].sort((a, b) => b[1] - a[1])[0];
  return most?.[0] ?? null;
}

export const live = new Live();
