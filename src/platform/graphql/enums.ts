/** A list of words as the object type-graphql wants for an enum: each word is its own value. */
export const enumOf = <Word extends string>(words: readonly Word[]) =>
  Object.fromEntries(words.map((word) => [word, word])) as { [W in Word]: W };
