/** The SQLSTATEs we act on, by the names PostgreSQL gives them. */
export const SQLSTATE = {
  uniqueViolation: '23505',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  lockNotAvailable: '55P03',
  /** Also what a statement that takes too long ends with. */
  queryCanceled: '57014',
} as const;

interface Failure {
  code?: unknown;
  message?: unknown;
  cause?: unknown;
}

/** The error and what caused it, outermost first. Not by instanceof: an error of the system may come from another realm than ours. */
function chainOf(error: unknown): Failure[] {
  const chain: Failure[] = [];
  for (let current = error as Failure | null | undefined; current && typeof current === 'object' && chain.length < 5; )
    current = chain[chain.push(current) - 1]?.cause as Failure | undefined;
  return chain;
}

/** Classes begin with a digit or one of these letters; EPIPE has five capitals too. */
const SQLSTATE_FORM = /^[0-9FHPX][0-9A-Z]{4}$/;

/** The SQLSTATE of a driver's error, looked for through the wrappers the ORM puts around it. */
export const sqlStateOf = (error: unknown): string | undefined =>
  chainOf(error)
    .map(({ code }) => code)
    .find((code): code is string => typeof code === 'string' && SQLSTATE_FORM.test(code));

const CONNECTION_LOST =
  /connection terminated|ECONNRESET|ECONNREFUSED|EPIPE|server closed the connection|Client has encountered a connection error|terminating connection/i;

/** True when the connection went away under the statement, so that nothing is known of its effect beyond the rules of its transaction. */
export function isConnectionLost(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state) return state.startsWith('08') || state.startsWith('57P0');
  return chainOf(error).some(({ code, message }) => CONNECTION_LOST.test(`${code} ${message}`));
}
