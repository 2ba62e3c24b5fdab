/** The page's language: chosen by the browser, switchable, remembered. */
import { read, write } from '$lib/storage';

export const LOCALES = ['en', 'zh-TW', 'ko'] as const;
export type Locale = (typeof LOCALES)[number];

export const LOCALE_NAMES: Record<Locale, string> = {
  en: 'English',
  'zh-TW': '繁體中文',
  ko: '한국어',
};

const STORED = 'verbatim.locale';

/** The first of the browser's languages that the page speaks, else English. */
export function bestLocale(wanted: readonly string[]): Locale {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split('-')[0];
    if (language === 'zh') return 'zh-TW';
    if (language === 'ko' || language === 'en') return language;
  }
  return 'en';
}

function isLocale(value: string | null): value is Locale {
  return (LOCALES as readonly (string | null)[]).includes(value);
}

class CurrentLocale {
  #current = $state<Locale>('en');

  get current(): Locale {
    return this.#current;
  }

  set current(value: Locale) {
    this.#current = value;
    document.documentElement.lang = value;
    write(STORED, value);
  }

  /** Take the remembered language, or the browser's. */
  begin(): void {
    const stored = read(STORED);
    this.#current = isLocale(stored) ? stored : bestLocale(navigator.languages);
    document.documentElement.lang = this.#current;
  }
}

export const locale = new CurrentLocale();

/**
 * The words of one part of the page in every language; TypeScript refuses a language that lacks one.
 *
 *     const t = messages({ en: {…}, 'zh-TW': {…}, ko: {…} });   // t().title
 */
export function messages<T>(all: { en: T; 'zh-TW': NoInfer<T>; ko: NoInfer<T> }): () => T {
  return () => all[locale.current];
}
