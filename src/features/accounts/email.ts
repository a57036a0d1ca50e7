const CHARACTERS_MAX = 254; // RFC 5321: a path of 256 with its angle brackets
// Something, an @, something with a dot. Only a mail that arrives proves more. No spaces, controls, invisible marks or lone surrogates.
const SHAPE = /^[^\s@\p{Cc}\p{Cf}\p{Cs}]{1,64}@[^\s@\p{Cc}\p{Cf}\p{Cs}]+\.[^\s@.\p{Cc}\p{Cf}\p{Cs}]+$/u;

/** The one form in which an e-mail address is stored and compared (NFC, lower case, no space around), or null when it is none. */
export function emailOf(text: string): string | null {
  if (text.length > CHARACTERS_MAX * 2) return null;
  const email = text.trim().normalize('NFC').toLowerCase().normalize('NFC');
  return email.length <= CHARACTERS_MAX && SHAPE.test(email) ? email : null;
}
