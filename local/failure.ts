/**
 * @module The one error that is shown to a person as a sentence, without a stack trace.
 */

/** Says why the stack cannot start or go on, and what the reader can do about it. */
export class Failure extends Error {
  override readonly name = "Failure";
}
