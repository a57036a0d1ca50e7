import { Agent, type Dispatcher, request } from 'undici';
import type { Checkout } from '../features/payments/index.ts';
import type { CustomerAct } from './simulator.ts';

/**
 * Plays the customer's browser at a checkout: opens the page, acts on it, and follows the redirect or submits the form that leads back to us.
 * Answers what our return address answered, redirects of ours not followed; null when the customer closed the window.
 * `return: false`: acts at the provider but loses the way back (the browser dies), so that our return address is never called; then answers null too.
 * Rejects when the page cannot be opened, when what was done there is answered with an error page, and when a connection is cut.
 */
export async function payAs(
  checkout: Checkout,
  act: CustomerAct,
  { return: comesBack = true, patienceMs = PATIENCE_MS }: { return?: boolean; patienceMs?: number } = {},
): Promise<{ status: number; location: string | null; url: string } | null> {
  const browser = new Agent({ connect: { timeout: patienceMs }, headersTimeout: patienceMs, bodyTimeout: patienceMs });
  try {
    const page = await visit(browser, visitOf(checkout));
    const answer = await visit(browser, { method: 'POST', url: theFormOf(page).url, fields: { act } });
    if (act === 'close' || !comesBack) return null;
    const landed = await visit(browser, wayBack(answer), 'anything');
    return { status: landed.status, location: landed.location, url: landed.url };
  } finally {
    // Not `close`: that waits for connections kept alive.
    await browser.destroy();
  }
}

interface Visit {
  method: 'GET' | 'POST';
  url: string;
  fields: Record<string, string>;
}

interface Visited {
  url: string;
  status: number;
  location: string | null;
  text: string;
}

async function visit(browser: Dispatcher, { method, url, fields }: Visit, wanted: 'no error' | 'anything' = 'no error'): Promise<Visited> {
  const form = new URLSearchParams(fields).toString();
  const { statusCode, headers, body } = await request(url, {
    method,
    dispatcher: browser,
    headers: {
      accept: 'text/html',
      'accept-language': 'ko',
      ...(method === 'POST' && { 'content-type': 'application/x-www-form-urlencoded' }),
    },
    body: method === 'POST' ? form : null,
  });
  const text = await body.text();
  if (wanted === 'no error' && statusCode >= 400)
    throw new Error(`${method} ${url} answered the customer ${statusCode}: ${headingOf(text)}`);
  const location = headers.location === undefined ? null : new URL(String(headers.location), url).toString();
  return { url, status: statusCode, location, text };
}

/** As a browser submits a form: with GET, the fields become the query. */
function visitOf({ url, method, fields }: Checkout): Visit {
  if (method === 'POST') return { method, url, fields: { ...fields } };
  const address = new URL(url);
  for (const [name, value] of Object.entries(fields)) address.searchParams.set(name, value);
  return { method, url: address.toString(), fields: {} };
}

function wayBack(answer: Visited): Visit {
  return answer.location === null ? theFormOf(answer) : { method: 'GET', url: answer.location, fields: {} };
}

/** The one form of a page, with its hidden fields. */
function theFormOf({ url, text }: Visited): Visit {
  const action = /<form[^>]*\baction="([^"]*)"/.exec(text)?.[1];
  if (action === undefined) throw new Error(`The page at ${url} has no form: ${headingOf(text)}`);
  const inputs = text.matchAll(/<input[^>]*\bname="([^"]*)"[^>]*\bvalue="([^"]*)"/g);
  const fields = Object.fromEntries(Array.from(inputs, ([, name = '', value = '']) => [plain(name), plain(value)]));
  return { method: 'POST', url: new URL(plain(action), url).toString(), fields };
}

function headingOf(text: string): string {
  return plain(/<h1>(.*?)<\/h1>/.exec(text)?.[1] ?? text.slice(0, 200));
}

/** Undoes the escapes of the simulator's pages. */
function plain(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
}

/** A customer waits longer than our own time-outs, and a test does not wait for ever. */
const PATIENCE_MS = 30_000;
