/** Where the page is. Addresses are in the fragment, so the server needs to know none of them. */

export interface Place {
  /** The first part of the address: a view's name. */
  view: string;
  /** What follows it, such as a transcript's id. */
  id: string | null;
}

/** "#/transcripts/abc" → { view: 'transcripts', id: 'abc' }. */
export function parsePlace(fragment: string): Place {
  const [view = '', id] = fragment.replace(/^#\/?/, '').split('/');
  return { view, id: id ? decodeURIComponent(id) : null };
}

export function href(view: string, id?: string): string {
  return id === undefined ? `#/${view}` : `#/${view}/${encodeURIComponent(id)}`;
}

class Router {
  place = $state.raw<Place>({ view: '', id: null });

  begin(): void {
    this.place = parsePlace(location.hash);
    addEventListener('hashchange', () => {
      this.place = parsePlace(location.hash);
    });
  }

  go(view: string, id?: string): void {
    location.hash = href(view, id);
  }
}

export const router = new Router();
