/** The options of the next transcription, as chosen last. */
import type { TranscribeOptions } from '$lib/api/transcribe';
import { locale } from '$lib/i18n/locale.svelte';
import { chooseFormat, chosenFormat, type Format } from '$lib/render';
import { read, write } from '$lib/storage';

const STORED = 'verbatim.options';

export const SCRIPTS = ['as_spoken', 's2twp', 's2tw', 's2hk', 't2s'] as const;
export type Script = (typeof SCRIPTS)[number];
export type Task = 'transcribe' | 'translate';

interface Choice {
  language: string;
  model: string;
  task: Task;
  script: Script;
  prompt: string;
}

const DEFAULTS: Choice = {
  language: '',
  model: '',
  task: 'transcribe',
  script: 'as_spoken',
  prompt: '',
};

class Options {
  choice = $state<Choice>({ ...DEFAULTS, script: usualScript(), ...stored() });
  format = $state<Format>(chosenFormat());

  /** Remember what is chosen; a prompt belongs to one recording and is not. */
  keep(): void {
    write(STORED, JSON.stringify({ ...this.choice, prompt: '' }));
    chooseFormat(this.format);
  }

  /** As the API takes them: what is not chosen is left out. */
  forRequest(): TranscribeOptions {
    const { language, model, task, script, prompt } = this.choice;
    return {
      ...(language && { language }),
      ...(model && { model }),
      ...(task !== DEFAULTS.task && { task }),
      ...(script !== 'as_spoken' && { script }),
      ...(prompt.trim() && { prompt: prompt.trim() }),
    };
  }
}

/** Who reads the page in Traditional Chinese wants the same of Chinese speech. */
function usualScript(): Script {
  return locale.current === 'zh-TW' ? 's2twp' : 'as_spoken';
}

function stored(): Partial<Choice> {
  try {
    const found: unknown = JSON.parse(read(STORED) ?? '{}');
    return typeof found === 'object' && found !== null ? found : {};
  } catch {
    return {};
  }
}

export const options = new Options();
