/** Copy text; on plain HTTP browsers have no clipboard API, only the older command. */
export async function copy(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused, or the page is not in front: the older way may still work.
    }
  }
  const box = document.createElement('textarea');
  box.value = text;
  box.className = 'visually-hidden';
  // Inside an open dialog, nothing outside can be selected.
  (document.querySelector('dialog[open]') ?? document.body).append(box);
  box.select();
  const done = document.execCommand('copy');
  box.remove();
  return done;
}
