/** What was transcribed here, kept in this browser. */
import { newId } from '$lib/ids';
import { joined } from '$lib/text';
import { openShelf, type Shelf } from './shelf';
import { Tabs } from './tabs';
import { UNFINISHED, type Entry, type Text } from './types';

const PREVIEW_CHARS = 180;
/** More than fill it. */
const PREVIEW_SEGMENTS = 40;

export type NewEntry = Pick<Entry, 'name' | 'origin' | 'media' | 'sizeBytes' | 'options'>;

class History {
  /** The newest first. */
  entries = $state.raw<readonly Entry[]>([]);
  ready = $state(false);
  /** False where this browser keeps nothing once the page is closed. */
  lasting = $state(true);

  readonly #page = newId();
  /** Files of this page, which need no storage to be played or run again. */
  readonly #files = new Map<string, Blob>();
  #shelf: Promise<Shelf> | undefined;
  #tabs: Tabs | undefined;

  begin(): void {
    this.#shelf = openShelf();
    this.#tabs = new Tabs(this.#page, () => void this.#load());
    void this.#open();
  }

  find(id: string): Entry | undefined {
    return this.entries.find((entry) => entry.id === id);
  }

  /** Note a recording that is going to be transcribed. */
  async add(wish: NewEntry, file: Blob | null): Promise<Entry> {
    const entry: Entry = {
      ...wish,
      id: newId(),
      status: 'waiting',
      createdAt: Date.now(),
      owner: this.#page,
      hasMedia: false,
      edited: false,
      language: null,
      model: null,
      durationS: null,
      preview: '',
      error: null,
    };
    if (file) this.#files.set(entry.id, file);
    this.entries = [entry, ...this.entries];
    await this.#put(entry);
    return entry;
  }

  /** Change an entry; one that was deleted meanwhile stays so. */
  async update(id: string, change: Partial<Entry>): Promise<void> {
    const entry = this.find(id);
    if (!entry) return;
    const changed = { ...entry, ...change };
    this.entries = this.entries.map((other) => (other.id === id ? changed : other));
    await this.#put(changed);
  }

  /** Take over an entry of a page that is gone, to run it again. */
  async adopt(id: string): Promise<void> {
    await this.update(id, { owner: this.#page, status: 'waiting', error: null });
  }

  async text(id: string): Promise<Text | undefined> {
    return (await this.#opened()).get('texts', id);
  }

  /** Keep the text of an entry, and the beginning of it in the list. */
  async setText(text: Text): Promise<void> {
    if (!this.find(text.id)) return;
    // Values of Svelte's state cannot be stored as they are.
    await (await this.#opened()).put('texts', $state.snapshot(text) as Text);
    const preview = previewOf(text);
    if (this.find(text.id)?.preview !== preview) await this.update(text.id, { preview });
  }

  /** The recording: of this page, or kept. */
  async media(id: string): Promise<Blob | undefined> {
    return this.#files.get(id) ?? (await (await this.#opened()).get('media', id))?.file;
  }

  /** Whether the recording is at hand, so that it can be run again. */
  holds(entry: Entry): boolean {
    return entry.hasMedia || this.#files.has(entry.id);
  }

  /** @throws DOMException where there is no room. */
  async keepMedia(id: string, file: Blob): Promise<void> {
    await (await this.#opened()).put('media', { id, file });
    await this.update(id, { hasMedia: true });
  }

  async forgetMedia(id: string): Promise<void> {
    await (await this.#opened()).drop('media', id);
    await this.update(id, { hasMedia: false });
  }

  async peaks(id: string): Promise<Float32Array | undefined> {
    return (await (await this.#opened()).get('peaks', id))?.values;
  }

  async setPeaks(id: string, values: Float32Array): Promise<void> {
    if (this.find(id)) await (await this.#opened()).put('peaks', { id, values });
  }

  /** Take an entry away; what is returned brings it back. */
  async remove(id: string): Promise<() => Promise<void>> {
    const entry = this.find(id);
    const [text, kept] = await Promise.all([this.text(id), this.media(id)]);
    const file = this.#files.get(id);
    this.entries = this.entries.filter((other) => other.id !== id);
    this.#files.delete(id);
    await (await this.#opened()).remove(id);
    this.#tabs?.changed();
    return async () => {
      if (!entry) return;
      if (file) this.#files.set(id, file);
      this.entries = inOrder([...this.entries, entry]);
      await this.#put(entry);
      if (text) await this.setText(text);
      if (entry.hasMedia && kept) await this.keepMedia(id, kept);
    };
  }

  async #open(): Promise<void> {
    this.lasting = (await this.#opened()).lasting;
    await this.#load();
    this.ready = true;
    const lost = this.entries.filter(({ status, owner, origin }) => {
      return UNFINISHED.includes(status) && origin !== 'job' && owner !== this.#page;
    });
    if (!lost.length) return;
    const present = await this.#tabs?.present();
    for (const { id, owner } of lost) {
      if (!present?.has(owner)) await this.update(id, { status: 'interrupted' });
    }
  }

  async #load(): Promise<void> {
    this.entries = inOrder(await (await this.#opened()).all('entries'));
  }

  async #put(entry: Entry): Promise<void> {
    await (await this.#opened()).put('entries', $state.snapshot(entry) as Entry);
    this.#tabs?.changed();
  }

  #opened(): Promise<Shelf> {
    if (!this.#shelf) throw new Error('the history was not begun');
    return this.#shelf;
  }
}

function inOrder(entries: readonly Entry[]): readonly Entry[] {
  return [...entries].sort((a, b) => b.createdAt - a.createdAt);
}

export function previewOf(text: Text): string {
  const first = text.segments.slice(0, PREVIEW_SEGMENTS).map((segment) => segment.text);
  return joined(first).slice(0, PREVIEW_CHARS);
}

export const history = new History();
