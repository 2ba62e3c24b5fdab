/** What the user prefers, kept in this browser. */
import { read, write } from './storage';

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const THEME = 'verbatim.theme';
const KEEP_AUDIO = 'verbatim.keep-audio';

class Preferences {
  #theme = $state<Theme>('system');
  #keepAudio = $state(true);

  begin(): void {
    const theme = THEMES.find((name) => name === read(THEME));
    this.#theme = theme ?? 'system';
    this.#keepAudio = read(KEEP_AUDIO) !== 'no';
    this.#show();
  }

  get theme(): Theme {
    return this.#theme;
  }

  set theme(value: Theme) {
    this.#theme = value;
    write(THEME, value);
    this.#show();
  }

  /** Whether recordings are kept beside their transcripts. */
  get keepAudio(): boolean {
    return this.#keepAudio;
  }

  set keepAudio(value: boolean) {
    this.#keepAudio = value;
    write(KEEP_AUDIO, value ? 'yes' : 'no');
  }

  #show(): void {
    if (this.#theme === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = this.#theme;
  }
}

export const prefs = new Preferences();
