import { type Logger, pino, stdSerializers } from 'pino';

/** What must never be written down, wherever in a record it stands. */
const SECRETS = ['authorization', 'cookie', 'password', 'token', 'accessToken', 'refreshToken', 'secret', 'email', 'card', 'phone'];

/** Structured logs, one JSON object a line, on standard error: standard output is for the person at the terminal. */
export function createLogger({ level }: { level: string }): Logger {
  return pino(
    {
      level,
      base: { pid: process.pid },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`, `req.headers["${name}"]`]), censor: '[redacted]' },
      serializers: { err: withoutStatement, req: ({ method, url }) => ({ method, url: String(url).split('?')[0] }) },
    },
    pino.destination({ fd: 2, sync: false }),
  );
}

/**
 * An error without the statement it failed on: the ORM and the driver put the SQL, with its values, into the message and into fields of their own.
 * What the database itself said is kept; `detail` may quote a row, so it is not.
 */
function withoutStatement(error: Error): object {
  const { type, stack, message } = stdSerializers.err(error);
  const cause = error.cause instanceof Error ? { cause: withoutStatement(error.cause) } : {};
  const code = (error as { code?: unknown }).code;
  const short = (text: string) => text.replace(/^(select|insert|update|delete|with|begin)\b[\s\S]*? - /i, '');
  // The ORM's own complaints go on with the whole entity.
  const [said = ''] = short(message).split('\n');
  return { type, message: said, ...(typeof code === 'string' && { code }), stack: short(stack ?? '').slice(0, 4_000), ...cause };
}
