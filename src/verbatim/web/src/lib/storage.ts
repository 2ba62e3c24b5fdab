/** Small values in the browser's storage, which may be switched off: then they last as long as the page. */

type Kind = 'local' | 'session';

const spare = new Map<string, string>();

function storage(kind: Kind): Storage {
  return kind === 'local' ? localStorage : sessionStorage;
}

export function read(name: string, kind: Kind = 'local'): string | null {
  try {
    return storage(kind).getItem(name);
  } catch {
    return spare.get(`${kind}:${name}`) ?? null;
  }
}

export function write(name: string, value: string | null, kind: Kind = 'local'): void {
  try {
    if (value === null) storage(kind).removeItem(name);
    else storage(kind).setItem(name, value);
  } catch {
    if (value === null) spare.delete(`${kind}:${name}`);
    else spare.set(`${kind}:${name}`, value);
  }
}
