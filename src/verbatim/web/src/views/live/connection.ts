/** A live session over connections that may break: what was said meanwhile is sent again. */
import type { ErrorBody } from '$lib/api/types';
import type { LiveEvent, LiveMessage, LiveWish, ReadyMessage } from './events';
import { Tape } from './tape';

const BYTES_PER_SAMPLE = 2;
const KEPT_S = 120;
const RETRY_MS = [250, 500, 1000, 2000];
/** After which a connection that does not come back is given up. */
const PATIENCE_MS = 120_000;
const FINISH_MS = 20_000;
/** More is kept here rather than in the browser's own buffer, where it could not be taken back. */
const MAX_UNSENT_BYTES = 256 * 1024;
const GOODBYE = 1000;
const NO_SUCH_SESSION = new Set(['session_not_found', 'bad_request']);

export type LiveState = 'connecting' | 'listening' | 'reconnecting' | 'finishing' | 'ended';

export interface Listener {
  onstate: (state: LiveState) => void;
  /** @param offsetS where the event's session begins in the recording, seconds. */
  onevent: (event: LiveEvent, offsetS: number) => void;
  /** The session behind is lost and another begins; the utterance that was open is told again. */
  onrestart: () => void;
  onmodel: (model: string) => void;
  /** What the server could not do; the last word where the state is then `ended`. */
  onerror: (error: ErrorBody) => void;
}

export class LiveConnection {
  state: LiveState = 'connecting';
  readonly #tape: Tape;
  readonly #bytesPerS: number;
  #socket: WebSocket | null = null;
  #session: string | null = null;
  #ready = false;
  #received = 0;
  /** Of the session, on the tape. */
  #origin = 0;
  #sent = 0;
  /** The end of the last utterance that is final, on the tape. */
  #settled = 0;
  #failures = 0;
  #brokenAt = 0;
  #finishing = false;
  #finishSent = false;
  #refusal: ErrorBody | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly open: () => WebSocket,
    private readonly rate: number,
    private readonly wish: LiveWish,
    private readonly listener: Listener,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#bytesPerS = rate * BYTES_PER_SAMPLE;
    this.#tape = new Tape(KEPT_S * this.#bytesPerS);
    this.#connect();
  }

  /** Seconds of audio that were fed. */
  get seconds(): number {
    return this.#tape.end / this.#bytesPerS;
  }

  feed(samples: Int16Array): void {
    if (this.state === 'ended' || this.#finishing) return;
    this.#tape.write(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength));
    this.#flush();
  }

  /** No more audio comes; the state is `ended` once all text is there. */
  finish(): void {
    if (this.#finishing || this.state === 'ended') return;
    this.#finishing = true;
    if (this.state === 'listening') this.#show('finishing');
    this.#deadline = setTimeout(() => this.#end(), FINISH_MS);
    this.#flush();
  }

  /** End at once. */
  close(): void {
    this.#end();
  }

  #connect(): void {
    const socket = this.open();
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => socket.send(JSON.stringify(this.#greeting()));
    socket.onmessage = ({ data }) => this.#take(JSON.parse(String(data)) as LiveMessage);
    socket.onclose = () => socket === this.#socket && this.#broken();
  }

  #greeting(): Record<string, unknown> {
    if (this.#session) return { type: 'resume', session: this.#session, received: this.#received };
    const { language, model, script } = this.wish;
    return {
      type: 'start',
      format: 'pcm16',
      rate: this.rate,
      ...(language ? { language } : {}),
      ...(model ? { model } : {}),
      ...(script ? { script } : {}),
    };
  }

  #take(message: LiveMessage): void {
    if (message.type === 'ready') return this.#begin(message);
    if (message.type === 'error') return this.#complaint(message.error);
    this.#received = message.seq;
    const offsetS = this.#origin / this.#bytesPerS;
    if (message.type === 'text' && message.is_final)
      this.#settled = this.#origin + this.#bytes(message.end);
    this.listener.onevent(message, offsetS);
    if (message.type === 'ended') this.#end();
  }

  #begin(ready: ReadyMessage): void {
    this.#session = ready.session;
    this.#sent = this.#origin + ready.received_bytes;
    this.#ready = true;
    this.#failures = 0;
    this.listener.onmodel(ready.model);
    this.#show(this.#finishing ? 'finishing' : 'listening');
    this.#flush();
  }

  #complaint(error: ErrorBody): void {
    const resuming = this.#session !== null && !this.#ready;
    if (resuming && NO_SUCH_SESSION.has(error.code ?? 'bad_request')) this.#startAnew();
    else if (this.#ready) this.listener.onerror(error);
    else this.#refusal = error;
  }

  /** The server forgot the session: another takes over at the end of the last final text. */
  #startAnew(): void {
    this.#session = null;
    this.#received = 0;
    this.#origin = Math.max(this.#settled, this.#tape.start);
    this.listener.onrestart();
  }

  #flush(): void {
    const socket = this.#socket;
    if (!this.#ready || !socket || this.#finishSent) return;
    for (const piece of this.#tape.read(this.#sent)) {
      if (socket.bufferedAmount > MAX_UNSENT_BYTES) break;
      socket.send(piece as Uint8Array<ArrayBuffer>);
      this.#sent += piece.length;
    }
    if (!this.#finishing) return;
    if (this.#sent < this.#tape.end) {
      this.#retry = setTimeout(() => this.#flush(), RETRY_MS[0]);
      return;
    }
    this.#finishSent = true;
    socket.send(JSON.stringify({ type: 'finish' }));
  }

  #broken(): void {
    this.#ready = false;
    this.#finishSent = false;
    if (this.state === 'ended') return;
    if (this.#refusal) {
      this.listener.onerror(this.#refusal);
      return this.#end();
    }
    if (this.state === 'connecting' && !this.#session) {
      this.listener.onerror({ message: '', code: 'unreachable' });
      return this.#end();
    }
    if (!this.#failures) this.#brokenAt = this.now();
    if (this.now() - this.#brokenAt > PATIENCE_MS) {
      this.listener.onerror({ message: '', code: 'unreachable' });
      return this.#end();
    }
    this.#show('reconnecting');
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)];
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  #end(): void {
    if (this.state === 'ended') return;
    clearTimeout(this.#retry);
    clearTimeout(this.#deadline);
    this.#show('ended');
    this.#socket?.close(GOODBYE);
  }

  #show(state: LiveState): void {
    if (this.state === state) return;
    this.state = state;
    this.listener.onstate(state);
  }

  /** Whole samples. */
  #bytes(seconds: number): number {
    return Math.round(seconds * this.rate) * BYTES_PER_SAMPLE;
  }
}
