/**
 * Which request an error belongs to. Apollo's `formatError` is not told, an AsyncLocalStorage would cost every request
 * something, and errors are rare: so the id is remembered per error object.
 */
const requestIds = new WeakMap<object, string>();

export function rememberRequestId(error: unknown, requestId: string): void {
  if (typeof error === 'object' && error !== null) requestIds.set(error, requestId);
}

/** The id remembered for an error or for the error it wraps. */
export function requestIdOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  return requestIds.get(error) ?? requestIdOf((error as { originalError?: unknown }).originalError);
}
