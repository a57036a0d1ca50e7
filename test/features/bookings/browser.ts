import { request } from 'undici';

export interface Visited {
  status: number;
  location: string | null;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/** One request of a browser that follows no redirect and keeps no connection. */
export async function visit(
  url: string,
  {
    method = 'GET',
    headers = {},
    fields,
  }: { method?: 'GET' | 'POST' | 'PUT' | 'HEAD'; headers?: Record<string, string>; fields?: Record<string, string> } = {},
): Promise<Visited> {
  const answer = await request(url, {
    method,
    reset: true,
    headers: { accept: 'text/html', ...(fields && { 'content-type': 'application/x-www-form-urlencoded' }), ...headers },
    body: fields ? new URLSearchParams(fields).toString() : null,
  });
  const { location } = answer.headers;
  return {
    status: answer.statusCode,
    location: location === undefined ? null : String(location),
    headers: answer.headers,
    text: await answer.body.text(),
  };
}
