/** The languages that Whisper knows; codes as the API takes them. */
import { languageName } from '$lib/i18n/format';
import { locale } from '$lib/i18n/locale.svelte';

const CODES =
  'af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh'.split(
    ' ',
  );
/** Whisper's code for Javanese is an older one. */
const OLDER: Record<string, string> = { jw: 'jv' };

export interface Language {
  code: string;
  name: string;
}

/** Named in the page's language, in its order; only `among` where a model knows those only. */
export function languages(among: readonly string[] | null): Language[] {
  return CODES.filter((code) => !among || among.includes(code))
    .map((code) => ({ code, name: languageName(OLDER[code] ?? code) }))
    .sort((a, b) => a.name.localeCompare(b.name, locale.current));
}
