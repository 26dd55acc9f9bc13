/**
 * Keywords as a sentence for the deciding model: the `description` of a condition.
 *
 * @module
 */

const BEGINNING = "The message has one of these words or phrases, in any spelling: ";

/** The description of a condition that looks for keywords. */
export function keywordDescription(keywords: readonly string[]): string {
  return BEGINNING + keywords.map((word) => JSON.stringify(word)).join(", ");
}

/**
 * The keywords of a description.
 *
 * @returns undefined for a description in other words.
 */
export function readKeywordDescription(description: string): string[] | undefined {
  if (!description.startsWith(BEGINNING)) return undefined;
  try {
    const words: unknown = JSON.parse(`[${description.slice(BEGINNING.length)}]`);
    return Array.isArray(words) && words.every((word) => typeof word === "string")
      ? words
      : undefined;
  } catch {
    return undefined;
  }
}
