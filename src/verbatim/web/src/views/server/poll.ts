/** Ask again and again while the page is looked at. */

/**
 * @param ask one question; what it throws is its own matter.
 * @returns ends it.
 */
export function poll(ask: () => Promise<void>, everyMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;

  async function turn(): Promise<void> {
    if (!document.hidden) await ask();
    if (!over) timer = setTimeout(() => void turn(), everyMs);
  }

  void turn();
  return () => {
    over = true;
    clearTimeout(timer);
  };
}
