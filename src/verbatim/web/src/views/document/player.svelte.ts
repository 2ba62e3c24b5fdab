/** The recording being played. */

const UNKNOWN_END_S = 1e7;
export const SPEEDS = ['0.5', '0.75', '1', '1.25', '1.5', '2'] as const;
export type Speed = (typeof SPEEDS)[number];

export class Player {
  time = $state(0);
  playing = $state(false);
  /** Of the element; 0 until it is known. */
  duration = $state(0);
  /** There is a picture. */
  picture = $state(false);
  /** The browser cannot play this format. */
  failed = $state(false);
  #element: HTMLVideoElement | undefined;
  #speed = $state<Speed>('1');
  #frame = 0;

  get speed(): Speed {
    return this.#speed;
  }

  set speed(value: Speed) {
    this.#speed = value;
    if (this.#element) this.#element.playbackRate = Number(value);
  }

  /** Listen to an element until the function that is returned is called. */
  attach(element: HTMLVideoElement): () => void {
    this.#element = element;
    const tick = (): void => {
      this.time = element.currentTime;
      this.#frame = requestAnimationFrame(tick);
    };
    element.onplay = () => {
      this.playing = true;
      element.playbackRate = Number(this.#speed);
      cancelAnimationFrame(this.#frame);
      tick();
    };
    element.onpause = () => {
      this.playing = false;
      cancelAnimationFrame(this.#frame);
      this.time = element.currentTime;
    };
    element.onseeked = () => {
      this.time = element.currentTime;
    };
    element.ondurationchange = () => this.#learnDuration(element);
    element.onloadedmetadata = () => {
      this.picture = element.videoWidth > 0;
      this.#learnDuration(element);
    };
    element.onerror = () => {
      this.failed = true;
    };
    return () => {
      cancelAnimationFrame(this.#frame);
      this.#element = undefined;
    };
  }

  toggle(): void {
    if (this.playing) this.#element?.pause();
    else this.play();
  }

  play(): void {
    this.#element?.play().catch(() => {
      // Paused again before it began, or no format for this browser: `onerror` tells of that.
    });
  }

  seek(seconds: number): void {
    if (!this.#element) return;
    this.time = Math.max(0, this.duration ? Math.min(seconds, this.duration) : seconds);
    this.#element.currentTime = this.time;
  }

  playFrom(seconds: number): void {
    this.seek(seconds);
    this.play();
  }

  fullScreen(): void {
    void this.#element?.requestFullscreen();
  }

  /** What a browser recorded does not say how long it is: going to its end makes it find out. */
  #learnDuration(element: HTMLVideoElement): void {
    if (Number.isFinite(element.duration)) {
      const sought = this.duration === 0 && element.currentTime > element.duration - 1;
      this.duration = element.duration;
      if (sought && !this.playing) element.currentTime = 0;
    } else {
      element.currentTime = UNKNOWN_END_S;
    }
  }
}
