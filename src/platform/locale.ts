/** The languages answers are written in. English unless the request's `Accept-Language` prefers Korean. */
export type Locale = 'en' | 'ko';

/** Picks the language of a request: the first supported tag of `Accept-Language`, in the order it was sent. */
export function localeOf(acceptLanguage: string | undefined): Locale {
  for (const tag of (acceptLanguage ?? '').toLowerCase().split(',')) {
    const language = tag.trim().slice(0, 2);
    if (language === 'ko' || language === 'en') return language;
  }
  return 'en';
}
