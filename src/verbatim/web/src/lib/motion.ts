const SLIDE_MS = 180;

/** How long a movement lasts; none for those who asked for none. */
export function motionMs(): number {
  return matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : SLIDE_MS;
}
