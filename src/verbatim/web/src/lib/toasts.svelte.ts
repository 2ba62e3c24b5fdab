/** Short notes at the edge of the page. */

export interface Toast {
  id: number;
  text: string;
  kind: 'note' | 'bad';
  action?: { label: string; run: () => void };
}

const SHOWN_MS = 6000;
const MOST = 3;

class Toasts {
  list = $state.raw<readonly Toast[]>([]);
  #next = 1;

  show(text: string, options: Partial<Pick<Toast, 'kind' | 'action'>> = {}): void {
    const toast: Toast = { kind: 'note', ...options, id: this.#next++, text };
    this.list = [...this.list, toast].slice(-MOST);
    setTimeout(() => this.close(toast.id), SHOWN_MS);
  }

  close(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
