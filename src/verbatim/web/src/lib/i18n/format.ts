/** Numbers, sizes and times as people of the page's language write them. */
import { locale } from './locale.svelte';

const KIB = 1024;
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];
const MINUTE_S = 60;
const HOUR_S = 3600;

/** 75.4 → "1:15"; 3675 → "1:01:15". */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const s = String(whole % MINUTE_S).padStart(2, '0');
  const m = Math.floor(whole / MINUTE_S) % MINUTE_S;
  const h = Math.floor(whole / HOUR_S);
  return h ? `${h}:${String(m).padStart(2, '0')}:${s}` : `${m}:${s}`;
}

/** 1536 → "1.5 kB". */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= KIB && unit < UNITS.length - 1) {
    value /= KIB;
    unit += 1;
  }
  return `${number(value, value < 10 && unit > 0 ? 1 : 0)} ${UNITS[unit]}`;
}

export function number(value: number, digits = 0): string {
  return value.toLocaleString(locale.current, { maximumFractionDigits: digits });
}

/** 0 to 100, with the sign. */
export function percent(value: number): string {
  return `${number(value)}%`;
}

/** A duration in words: "12 sec", "3 min", "1 hr 5 min". */
export function duration(seconds: number): string {
  const unit = (value: number, name: 'second' | 'minute' | 'hour'): string =>
    value.toLocaleString(locale.current, { style: 'unit', unit: name, unitDisplay: 'short' });
  if (seconds < MINUTE_S) return unit(Math.round(seconds), 'second');
  if (seconds < HOUR_S) return unit(Math.round(seconds / MINUTE_S), 'minute');
  const minutes = Math.round((seconds % HOUR_S) / MINUTE_S);
  const hours = unit(Math.floor(seconds / HOUR_S), 'hour');
  return minutes ? `${hours} ${unit(minutes, 'minute')}` : hours;
}

export function dateTime(ms: number): string {
  const when = new Date(ms);
  const thisYear = when.getFullYear() === new Date().getFullYear();
  return when.toLocaleString(locale.current, {
    ...(thisYear ? {} : { year: 'numeric' }),
    month: 'short',
    day: 'numeric',
    hour: 'numeric',
    minute: '2-digit',
  });
}

/** The name of a spoken language, in the page's language: "zh" → "Chinese". */
export function languageName(code: string): string {
  try {
    return new Intl.DisplayNames(locale.current, { type: 'language' }).of(code) ?? code;
  } catch {
    return code;
  }
}
