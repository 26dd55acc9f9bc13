/**
 * Runs a command line tool: prints its errors as sentences and ends with the right code.
 *
 * @module
 */

import { CommandError } from "./command_error.ts";

/**
 * Runs the tool, and ends the process with its exit code.
 *
 * @param name How to call it, such as `deno task import`; the hint at a wrong option says it.
 * @param main Gets the arguments, and returns the exit code.
 */
export async function runCommand(
  name: string,
  main: (args: string[]) => Promise<number>,
): Promise<never> {
  Deno.exit(await exitCodeOf(name, () => main(Deno.args)));
}

async function exitCodeOf(name: string, main: () => Promise<number>): Promise<number> {
  try {
    return await main();
  } catch (error) {
    // The reader of the output has gone, as `head` does.
    if (error instanceof Deno.errors.BrokenPipe) return 1;
    if (!(error instanceof CommandError)) throw error;
    printError(`${explainError(name, error)}\n`);
    return error.exitCode;
  }
}

/** What to print for an error: its sentence, and where to look when the command line is wrong. */
export function explainError(name: string, error: CommandError): string {
  const hint = error.exitCode === 2 ? `\n${name} --help shows all options.` : "";
  return `error: ${error.message}${hint}`;
}

/** Prints to standard output. @throws {Deno.errors.BrokenPipe} when its reader has gone. */
export function print(text: string): void {
  writeAll(Deno.stdout, text);
}

/** Prints to standard error. */
export function printError(text: string): void {
  writeAll(Deno.stderr, text);
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(to.writeSync(bytes));
}
