/** The fields of a request, whatever they were written in. */
export type Fields = Record<string, unknown>;

/** A body in JSON, whatever its content type says. Null when it is not a JSON object. */
export function jsonFields(body: Buffer): Fields | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null;
  } catch {
    return null;
  }
}

export function formFields(body: Buffer): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(body.toString('utf8')));
}

/** A body in JSON or of a form: told apart by its first byte, because senders label them carelessly. */
export function jsonOrFormFields(body: Buffer): Fields {
  return body.toString('utf8').trimStart().startsWith('{') ? (jsonFields(body) ?? {}) : formFields(body);
}

/** A field as text of `min` to `max` characters; null when it is not. */
export function textOf(fields: Fields, name: string, max: number, min = 1): string | null {
  const value = fields[name];
  return typeof value === 'string' && value.length >= min && value.length <= max ? value : null;
}

/** A field as a whole amount: a number, or its digits as some vendors' samples send it. Null when it is neither. */
export function amountOf(fields: Fields, name: string): number | null {
  const value = fields[name];
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : null;
}

/** A field as an address that a browser may be sent to: absolute, http or https. Null when it is not. */
export function webAddressOf(fields: Fields, name: string, max: number): string | null {
  const value = textOf(fields, name, max);
  if (value === null || !URL.canParse(value)) return null;
  return ['http:', 'https:'].includes(new URL(value).protocol) ? value : null;
}

/** An address with more in its query. */
export function withQuery(address: string, query: Record<string, string>): string {
  const url = new URL(address);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url.toString();
}
