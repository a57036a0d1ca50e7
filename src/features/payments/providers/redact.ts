/**
 * Takes out of what is stored about an exchange whatever would let its reader pay, act as us, or know the customer: secrets, tokens, signatures, card
 * numbers, names, telephone numbers and addresses. Goes through objects, lists, text that is JSON, and text that is not.
 *
 * What it cannot know it judges by the name of the field, so it rather takes too much: a field is kept because nothing about its name is suspicious. The
 * answer is bounded, whatever comes in: 65,536 characters of names and texts, 4,000 in one text, 20 levels; `[cut]` stands for the rest.
 */
export function redact(value: unknown): unknown {
  return redactValue(value, { depth: 0, isOfCard: false }, { characters: CHARACTERS_MAX });
}

/** The same for text of no known form, such as an error page or an address with a query. */
export function redactText(text: string): string {
  return withoutSecretPairs(text.replace(CREDENTIALS, `$1 ${REDACTED}`).replace(RETURN_ADDRESS, `$1${REDACTED}`))
    .replace(EMAIL, REDACTED)
    .replace(DIGITS, (digits) => (isCardNumber(digits) ? REDACTED : digits))
    .replace(MOBILE, REDACTED);
}

export const REDACTED = '[redacted]';
const CUT = '[cut]';

interface Place {
  depth: number;
  /** Inside of something that describes a card. */
  isOfCard: boolean;
}

interface Budget {
  characters: number;
}

function redactValue(value: unknown, place: Place, budget: Budget): unknown {
  budget.characters -= 1;
  if (budget.characters < 0) return CUT;
  if (typeof value === 'string') return spend(redactString(value, place), budget);
  if (typeof value === 'number' || typeof value === 'bigint') return redactNumber(value, place);
  if (value === null || value === undefined || typeof value === 'boolean') return value ?? null;
  if (typeof value !== 'object' || place.depth >= DEPTH_MAX) return CUT;
  return Array.isArray(value) ? redactList(value, place, budget) : redactObject(value, place, budget);
}

function redactList(list: readonly unknown[], place: Place, budget: Budget): unknown[] {
  const deeper = { ...place, depth: place.depth + 1 };
  const items: unknown[] = [];
  for (const item of list) {
    if (budget.characters <= 0) return [...items, CUT];
    items.push(redactValue(item, deeper, budget));
  }
  return items;
}

function redactObject(object: object, place: Place, budget: Budget): Record<string, unknown> {
  const fields: [string, unknown][] = [];
  for (const [name, value] of Object.entries(object)) {
    if (budget.characters <= 0) {
      fields.push([CUT, CUT]);
      break;
    }
    fields.push([spend(redactText(name), budget), redactField(name, value, place, budget)]);
  }
  // Not by assignment: a field called __proto__ stays a field.
  return Object.fromEntries(fields);
}

function redactField(name: string, value: unknown, place: Place, budget: Budget): unknown {
  if (isSecret(name)) return value === null || value === undefined || value === '' ? value : REDACTED;
  const isOfCard = place.isOfCard || /card/i.test(name);
  if (isOfCard && NUMBER_NAMES.has(plain(name)) && value != null) return REDACTED;
  return redactValue(value, { depth: place.depth + 1, isOfCard }, budget);
}

function redactString(text: string, place: Place): string {
  if (place.isOfCard && CARD_LIKE.test(text)) return REDACTED;
  if (/^\s*[[{]/.test(text) && place.depth < DEPTH_MAX) {
    const inner = parsed(text);
    if (inner !== undefined)
      return JSON.stringify(redactValue(inner, { ...place, depth: place.depth + 1 }, { characters: CHARACTERS_MAX }));
  }
  return redactText(text);
}

/** Moments in milliseconds have 13 digits, and one in ten passes for a card: outside of cards only longer numbers are suspected. */
function redactNumber(value: number | bigint, place: Place): unknown {
  const digits = String(value);
  const isSuspect = place.isOfCard ? CARD_LIKE.test(digits) : digits.length > 13 && isCardNumber(digits);
  if (isSuspect) return REDACTED;
  return typeof value === 'bigint' ? digits : value;
}

/** `pg_token=…` and `"secret": "…"`, wherever they begin: also in the value of another pair, as in an address. */
function withoutSecretPairs(text: string): string {
  let kept = '';
  let from = 0;
  for (const { 0: beginning, 2: name = '', index } of text.matchAll(NAME)) {
    if (index < from || !isSecret(name)) continue;
    kept += text.slice(from, index + beginning.length) + REDACTED;
    VALUE.lastIndex = index + beginning.length;
    VALUE.test(text);
    from = Math.max(VALUE.lastIndex, index + beginning.length);
  }
  return kept + text.slice(from);
}

function spend(text: string, budget: Budget): string {
  const kept = text.length > TEXT_LENGTH_MAX ? text.slice(0, TEXT_LENGTH_MAX - CUT.length) + CUT : text;
  budget.characters -= kept.length;
  return kept;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isSecret(name: string): boolean {
  const word = plain(name);
  return SECRET_NAMES.has(word) || SECRET_PARTS.test(word) || TELEPHONES.test(word);
}

/** One spelling for `pg_token`, `pgToken` and `PG-TOKEN`. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}

/** 13 to 19 digits whose check digit is right. */
function isCardNumber(text: string): boolean {
  const digits = text.replace(/\D/g, '');
  if (digits.length < 13 || digits.length > 19) return false;
  const sum = [...digits].reverse().reduce((total, digit, index) => {
    const doubled = index % 2 === 1 ? Number(digit) * 2 : Number(digit);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return sum % 10 === 0;
}

/** As much of an answer as is read at all. */
const CHARACTERS_MAX = 65_536;
const TEXT_LENGTH_MAX = 4_000;
const DEPTH_MAX = 20;

/** Whole names, in their plain spelling. `ordNm` is the buyer's name at KISPG, `ci` and `di` name a person in Korea for life. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  ...['cookie', 'setcookie', 'pwd', 'pin', 'cvc', 'cvv', 'cvn', 'mac', 'hmac', 'hash', 'sign', 'signdata', 'signvalue'],
  ...['customer', 'buyer', 'payer', 'purchaser', 'cardholder', 'holder'],
  ...[
    'ordnm',
    'buyernm',
    'customernm',
    'fullname',
    'firstname',
    'lastname',
    'givenname',
    'familyname',
    'realname',
    'username',
    'membername',
  ],
  ...['ci', 'di', 'rrn', 'ssn', 'expiry', 'expirydate', 'cardexpiry', 'expiryyear', 'expirymonth', 'addr', 'zipcode'],
]);
const SECRET_PARTS =
  /token|secret|passw|signature|encdata|authorization|apikey|merchantkey|cardno|cardnum|email|phone|birth|resident|identitynumber|registrationnumber|accountn|(?:customer|buyer|payer|holder)name|address/;
const TELEPHONES = /^(?:ord|order|buyer|customer|user|member|payer)?(?:tel|telno|hp|hpno|mobile|mobileno|fax)$/;
/** Of a card these are its number, whole or in part. */
const NUMBER_NAMES: ReadonlySet<string> = new Set(['number', 'no', 'num', 'pan', 'fpan', 'dpan']);
/** A card's number, or what was left of it when its owner masked it. */
const CARD_LIKE = /^(?=(?:\D*\d){6})[\d*xX•][\d*xX• -]{11,22}$/;

// Counts are bounded and beginnings fixed, so that no text makes these slow: 64 KiB of the worst take some 20 ms.
const NAME = /(?<![\w.-])(["']?)([\w.-]{1,60})\1\s{0,4}[:=]\s{0,4}/g;
const VALUE = /"[^"]*"?|'[^']*'?|[^\s&,;"'<>}]+/y;
const CREDENTIALS = /\b(Bearer|Basic|SECRET_KEY|KakaoAK|PortOne)\s{1,4}[\w+/=.~-]{8,}/gi;
/** Whoever has the token of one of our own addresses can come back from the provider instead of the customer. */
const RETURN_ADDRESS = /((?:\/|%2F)payments(?:\/|%2F)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\/|%2F))[\w-]{22}(?![\w-])/gi;
const EMAIL = /(?<![\w.+-])[\w.+-]{1,200}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}/g;
const DIGITS = /(?<![\w-])(?:\d[ -]?){12,18}\d(?![\w-])/g;
const MOBILE = /(?<![\w-])(?:\+?82[- ]?|0)1[016-9][- ]?\d{3,4}[- ]?\d{4}(?![\w-])/g;
