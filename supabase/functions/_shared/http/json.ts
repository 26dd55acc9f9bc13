/**
 * JSON of others, which may be anything.
 *
 * @module
 */

/** Parses JSON. @returns Undefined where the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
