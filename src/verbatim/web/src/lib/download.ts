/** Download or copy a transcript, and tell the user where that fails. */
import { ApiError } from '$lib/api/errors';
import { describe } from '$lib/api/words';
import { copy } from '$lib/clipboard';
import type { Entry, Text } from '$lib/history/types';
import { common } from '$lib/i18n/common';
import { save } from '$lib/save';
import { toasts } from '$lib/toasts.svelte';
import { fileName, plainText, rendered, type Format } from './render';

export async function download(entry: Entry, text: Text, format: Format): Promise<void> {
  try {
    save(await rendered(entry, text, format), fileName(entry.name, format));
  } catch (error) {
    const detail = error instanceof ApiError ? error.detail : '';
    toasts.show([describe(error).title, detail].filter(Boolean).join(': '), { kind: 'bad' });
  }
}

export async function copyText(text: Text): Promise<void> {
  const done = await copy(plainText(text));
  toasts.show(done ? common().copied : common().copyFailed, { kind: done ? 'note' : 'bad' });
}
