const BYTES = 12;

/** A random name; `crypto.randomUUID` is not there on plain HTTP. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
