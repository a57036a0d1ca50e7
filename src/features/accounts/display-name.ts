export const DISPLAY_NAME_CHARACTERS_MAX = 50;
// Controls, lone surrogates, and the marks that turn the direction of text and so let one name pose as another.
const FORBIDDEN = /[\p{Cc}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;

/** A name fit to show others (NFC, no space around), or null when it is empty, too long or made to deceive. */
export function displayNameOf(text: string): string | null {
  if (text.length > DISPLAY_NAME_CHARACTERS_MAX * 4) return null;
  const name = text.trim().normalize('NFC');
  return [...name].length <= DISPLAY_NAME_CHARACTERS_MAX && VISIBLE.test(name) && !FORBIDDEN.test(name) ? name : null;
}
