/** Where the history lies: in IndexedDB, or in memory where the browser offers none. */
import type { Entry, Text } from './types';

export interface Peaks {
  id: string;
  /** The loudest sample of each equal stretch of the recording, 0 to 1. */
  values: Float32Array;
}

interface Stored {
  entries: Entry;
  texts: Text;
  media: { id: string; file: Blob };
  peaks: Peaks;
}
export type Store = keyof Stored;
const STORES: readonly Store[] = ['entries', 'texts', 'media', 'peaks'];

export interface Shelf {
  all<S extends Store>(store: S): Promise<Stored[S][]>;
  get<S extends Store>(store: S, id: string): Promise<Stored[S] | undefined>;
  put<S extends Store>(store: S, value: Stored[S]): Promise<void>;
  /** Take an entry and all that belongs to it away. */
  remove(id: string): Promise<void>;
  /** Take one part of an entry away. */
  drop(store: Store, id: string): Promise<void>;
  /** Whether what is put here is still there tomorrow. */
  readonly lasting: boolean;
}

const NAME = 'verbatim';
const VERSION = 1;

export async function openShelf(): Promise<Shelf> {
  try {
    return new BrowserShelf(await openDatabase());
  } catch {
    return new MemoryShelf();
  }
}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      for (const store of STORES) request.result.createObjectStore(store, { keyPath: 'id' });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB cannot be opened'));
  });
}

class BrowserShelf implements Shelf {
  readonly lasting = true;

  constructor(private readonly database: IDBDatabase) {
    // A newer page in another tab may change the form; this one must not stand in its way.
    database.onversionchange = () => database.close();
  }

  async all<S extends Store>(store: S): Promise<Stored[S][]> {
    return this.#run([store], 'readonly', (tx) => tx.objectStore(store).getAll());
  }

  async get<S extends Store>(store: S, id: string): Promise<Stored[S] | undefined> {
    return this.#run([store], 'readonly', (tx) => tx.objectStore(store).get(id));
  }

  async put<S extends Store>(store: S, value: Stored[S]): Promise<void> {
    await this.#run([store], 'readwrite', (tx) => tx.objectStore(store).put(value));
  }

  async remove(id: string): Promise<void> {
    await this.#run(STORES, 'readwrite', (tx) => {
      for (const store of STORES) tx.objectStore(store).delete(id);
    });
  }

  async drop(store: Store, id: string): Promise<void> {
    await this.#run([store], 'readwrite', (tx) => tx.objectStore(store).delete(id));
  }

  /** Resolves when the transaction is complete, so that a full disk is noticed. */
  #run<T>(
    stores: readonly Store[],
    mode: IDBTransactionMode,
    work: (tx: IDBTransaction) => IDBRequest<T> | void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const tx = this.database.transaction([...stores], mode);
      const request = work(tx);
      tx.oncomplete = () => resolve(request?.result as T);
      tx.onabort = () => reject(tx.error ?? new Error('IndexedDB gave up'));
      tx.onerror = () => reject(tx.error ?? new Error('IndexedDB failed'));
    });
  }
}

export class MemoryShelf implements Shelf {
  readonly lasting = false;
  readonly #stores: { [S in Store]: Map<string, Stored[S]> } = {
    entries: new Map(),
    texts: new Map(),
    media: new Map(),
    peaks: new Map(),
  };

  async all<S extends Store>(store: S): Promise<Stored[S][]> {
    return [...this.#stores[store].values()];
  }

  async get<S extends Store>(store: S, id: string): Promise<Stored[S] | undefined> {
    return this.#stores[store].get(id);
  }

  async put<S extends Store>(store: S, value: Stored[S]): Promise<void> {
    this.#stores[store].set(value.id, value);
  }

  async remove(id: string): Promise<void> {
    for (const store of STORES) this.#stores[store].delete(id);
  }

  async drop(store: Store, id: string): Promise<void> {
    this.#stores[store].delete(id);
  }
}
