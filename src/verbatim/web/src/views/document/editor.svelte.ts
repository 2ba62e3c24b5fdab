/** The text being read and corrected: every change is kept at once, and can be undone. */
import { merge, setText, split } from './edits';
import type { Segment, Warning } from '$lib/api/types';
import { history } from '$lib/history/history.svelte';

const MOST_UNDO = 100;

export class Editor {
  segments = $state.raw<readonly Segment[]>([]);
  warnings = $state.raw<readonly Warning[]>([]);
  loaded = $state(false);
  /** The segment whose text is being edited; -1: none. */
  editing = $state(-1);
  #before = $state.raw<readonly (readonly Segment[])[]>([]);

  constructor(private readonly id: string) {}

  get canUndo(): boolean {
    return this.#before.length > 0;
  }

  async load(): Promise<void> {
    const text = await history.text(this.id);
    this.segments = text?.segments ?? [];
    this.warnings = text?.warnings ?? [];
    this.loaded = true;
  }

  /** Show what a transcription that still runs has so far. */
  follow(segments: readonly Segment[]): void {
    this.segments = segments;
    this.warnings = [];
    this.editing = -1;
    this.#before = [];
  }

  save(index: number, text: string): void {
    this.#become(setText(this.segments, index, text));
  }

  split(index: number, text: string, place: number): void {
    const lead = text.length - text.trimStart().length;
    const changed = setText(this.segments, index, text);
    const divided = split(changed, index, place - lead);
    if (divided !== changed) this.#become(divided);
  }

  merge(index: number, text: string, withNext: boolean): void {
    const changed = setText(this.segments, index, text);
    const emptied = changed.length < this.segments.length;
    this.#become(emptied ? changed : merge(changed, withNext ? index : index - 1));
  }

  undo(): void {
    const before = this.#before.at(-1);
    if (!before) return;
    this.#before = this.#before.slice(0, -1);
    this.editing = -1;
    this.segments = before;
    this.#keep();
  }

  #become(segments: readonly Segment[]): void {
    this.editing = -1;
    if (segments === this.segments) return;
    this.#before = [...this.#before, this.segments].slice(-MOST_UNDO);
    this.segments = segments;
    this.#keep();
  }

  #keep(): void {
    const text = { id: this.id, segments: [...this.segments], warnings: [...this.warnings] };
    void history.setText(text).then(() => history.update(this.id, { edited: true }));
  }
}
