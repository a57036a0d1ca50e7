/** The SQLSTATEs we act on, by the names PostgreSQL gives them. */
export const SQLSTATE = {
  uniqueViolation: '23505',
  foreignKeyViolation: '23503',
  checkViolation: '23514',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  lockNotAvailable: '55P03',
  queryCanceled: '57014',
  adminShutdown: '57P01',
} as const;

/** The SQLSTATE of a driver's error, looked for through the wrappers the ORM puts around it. */
export function sqlStateOf(error: unknown): string | undefined {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth++) {
    const code = (current as { code?: unknown }).code;
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return code;
  }
  return undefined;
}

const CONNECTION_LOST =
  /connection terminated|ECONNRESET|ECONNREFUSED|EPIPE|server closed the connection|Client has encountered a connection error|terminating connection/i;

/** True when the connection went away under the statement, so that nothing is known of its effect beyond the rules of its transaction. */
export function isConnectionLost(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state?.startsWith('08') || state?.startsWith('57P0')) return true;
  return (
    state === undefined &&
    error instanceof Error &&
    CONNECTION_LOST.test(`${error.message} ${(error.cause as Error | undefined)?.message ?? ''}`)
  );
}
