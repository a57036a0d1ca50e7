import { Ctx, Field, InterfaceType } from 'type-graphql';
import type { Locale } from './locale.ts';

/**
 * An expected outcome that is not the wished one: sold out, already enrolled, not on sale.
 *
 * A refusal is a value, not an exception: services return it, `transact` rolls back on it, and GraphQL shows it as a
 * member of the mutation's result union. Subclasses carry the data the caller needs for the next step.
 */
@InterfaceType('Error', {
  description:
    'An expected refusal. Spread `... on Error` to survive members that are added to a result later; decide by `code`, show `message`.',
})
export abstract class Refusal {
  /** Stable, upper case, never translated. */
  @Field(() => String, { description: 'A stable upper-case code to branch on, for example `SOLD_OUT`. Never translated.' })
  abstract readonly code: string;

  @Field(() => String, {
    description: 'What happened and what to do next, in the language of `Accept-Language` (Korean or English).',
  })
  message(@Ctx() context: { locale: Locale }): string {
    return this.text(context.locale);
  }

  abstract text(locale: Locale): string;
}

/** Something of the input is wrong. Says which field, as the client named it; each feature has a type and a code of its own. */
export abstract class InputRefusal extends Refusal {
  constructor(
    readonly field: string,
    private readonly en: string,
    private readonly ko: string,
  ) {
    super();
  }

  text(locale: Locale) {
    return locale === 'ko' ? this.ko : this.en;
  }
}
