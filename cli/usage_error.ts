/**
 * @module The error that is shown to a person as a sentence, without a stack trace.
 */

/** Says what went wrong and what the reader can do about it. Never holds a key or a secret. */
export class Problem extends Error {
  override readonly name = "Problem";
}
