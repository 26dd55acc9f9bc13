/**
 * The error that a command line tool shows as a sentence, without a stack trace.
 *
 * @module
 */

/**
 * Says what went wrong and what the reader can do about it. The message never holds a key, a secret or
 * the text of a message.
 */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  /** What the program ends with; see {@linkcode ExitCode}. */
  readonly exitCode: ExitCode;

  constructor(message: string, options: ErrorOptions & { exitCode?: ExitCode } = {}) {
    super(message, options);
    this.exitCode = options.exitCode ?? 1;
  }
}

/**
 * 1: it failed. 2: an option, a name or an environment variable is missing or wrong, and nothing was
 * done. Beside these, a program ends with 0 when all is done, 3 when a part is done, and 130 when Ctrl-C
 * stopped it.
 */
export type ExitCode = 1 | 2;

/** The error for an option, a name or an environment variable that is missing or wrong. */
export function usageError(message: string, options?: ErrorOptions): CommandError {
  return new CommandError(message, { ...options, exitCode: 2 });
}
