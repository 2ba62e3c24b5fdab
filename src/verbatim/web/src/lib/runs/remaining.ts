/** How long something still takes, judged by how fast it has been. */

const FIRST_ANSWER_S = 1;

/**
 * @param doneS seconds of the recording that are done.
 * @param totalS its length; null where that is not known.
 * @param elapsedS how long that took.
 * @returns seconds; null where nothing can be said yet.
 */
export function remaining(doneS: number, totalS: number | null, elapsedS: number): number | null {
  if (totalS === null || doneS <= 0 || elapsedS < FIRST_ANSWER_S) return null;
  return (Math.max(0, totalS - doneS) * elapsedS) / doneS;
}
