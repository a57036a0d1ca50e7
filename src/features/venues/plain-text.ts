// Controls, lone surrogates, and the marks that turn the direction of text and so let one name pose as another.
const FORBIDDEN = /[\p{Cc}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;

/** One line of text as people read it (NFC, no space around), or null when it is empty, too long or made to deceive. */
export function plainTextOf(text: string, charactersMax: number): string | null {
  // A character is at most four units long, also before it is composed: whatever is longer need not be looked at.
  if (text.length > charactersMax * 4) return null;
  const plain = text.trim().normalize('NFC');
  return [...plain].length <= charactersMax && VISIBLE.test(plain) && !FORBIDDEN.test(plain) ? plain : null;
}
