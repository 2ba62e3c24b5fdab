/** The views of the page. Each is loaded when it is first shown. */
import type { Component } from 'svelte';
import type { IconName } from '$lib/components/Icon.svelte';

export interface View {
  /** The first part of its address. */
  name: string;
  /** Its place in the navigation, and its word there; none: it is reached from elsewhere. */
  tab?: { word: 'transcribe' | 'live' | 'history' | 'server'; icon: IconName };
  /** The tab that is lit while it is shown. */
  under?: string;
  /** Text to read, not a table: lines stay short. */
  narrow?: true;
  load: () => Promise<{ default: Component<Record<string, never>> }>;
}

export const VIEWS: readonly View[] = [
  {
    name: '',
    narrow: true,
    tab: { word: 'transcribe', icon: 'upload' },
    load: () => import('./transcribe/Transcribe.svelte'),
  },
  {
    name: 'live',
    tab: { word: 'live', icon: 'live' },
    load: () => import('./live/Live.svelte'),
  },
  {
    name: 'history',
    narrow: true,
    tab: { word: 'history', icon: 'history' },
    load: () => import('./history/History.svelte'),
  },
  {
    name: 'server',
    tab: { word: 'server', icon: 'server' },
    load: () => import('./server/Server.svelte'),
  },
  {
    name: 'transcripts',
    narrow: true,
    under: 'history',
    load: () => import('./document/Document.svelte'),
  },
];

export function viewNamed(name: string): View | undefined {
  return VIEWS.find((view) => view.name === name);
}
