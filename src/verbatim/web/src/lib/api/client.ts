/** Requests to the server that the page came from. */
import { ApiError, errorOf, isAbort, unreachable } from './errors';
import { keys, type KeyRole } from './keys.svelte';

export interface Options {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Sent as JSON. */
  json?: unknown;
  /** Which key to show. */
  role?: KeyRole;
  /** Ask the user for a key where the server wants one; not for what happens by itself. */
  asks?: boolean;
  signal?: AbortSignal;
}

/** The absolute address of an API path, below whatever path the page is served at. */
export function address(path: string): string {
  return new URL(path.replace(/^\//, ''), document.baseURI.replace(/#.*$/, '')).href;
}

export function authorization(role: KeyRole): Record<string, string> {
  const key = keys.get(role);
  return key === null ? {} : { Authorization: `Bearer ${key}` };
}

/**
 * Send a request and take its answer as it is.
 *
 * @throws ApiError for every answer that is not a success, and where no answer came.
 */
export async function send(path: string, options: Options = {}): Promise<Response> {
  const role = options.role ?? 'use';
  for (;;) {
    try {
      return await attempt(path, options, role);
    } catch (error) {
      if (!(error instanceof ApiError) || !(await mayTryAgain(error, role, options.asks)))
        throw error;
    }
  }
}

/** The JSON of an answer; its shape is the API's promise. */
export async function getJson<T>(path: string, options: Options = {}): Promise<T> {
  const response = await send(path, options);
  return (await response.json()) as T;
}

/** Ask for a key where that is what is missing; true: try again. */
export async function mayTryAgain(
  error: ApiError,
  role: KeyRole,
  asks: boolean | undefined,
): Promise<boolean> {
  const another = error.kind === 'key' || (error.kind === 'forbidden' && role === 'admin');
  if (!another) return false;
  if (error.kind === 'key' && role === 'use') keys.missing = true;
  return asks === true && keys.ask(role);
}

async function attempt(path: string, options: Options, role: KeyRole): Promise<Response> {
  const headers: Record<string, string> = authorization(role);
  if (options.json !== undefined) headers['Content-Type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(address(path), {
      method: options.method ?? 'GET',
      headers,
      ...(options.json === undefined ? {} : { body: JSON.stringify(options.json) }),
      ...(options.signal ? { signal: options.signal } : {}),
      credentials: 'omit',
      cache: 'no-store',
    });
  } catch (error) {
    throw isAbort(error) ? error : unreachable();
  }
  if (response.ok) return response;
  throw errorOf(response.status, await response.text(), response.headers.get('retry-after'));
}
