/**
 * The only place in `local/` that writes to the terminal. Everything goes to stderr, because stdout
 * belongs to the one line that `--json` promises.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- this file is what the rule points others to

const encoder = new TextEncoder();

/** Writes one line for the person who started the stack. */
export function logInfo(message: string): void {
  writeLine(Deno.stderr, message);
}

/** Writes one line about something that went wrong but does not end the stack. */
export function logWarning(message: string): void {
  writeLine(Deno.stderr, `warning: ${message}`);
}

/** Writes what a child process said, every line under the name of that process. */
export function logFrom(source: string, line: string): void {
  writeLine(Deno.stderr, `[${source}] ${line}`);
}

/** Writes to stdout: the JSON line, the banner and `--help`, nothing else. */
export function print(text: string): void {
  writeLine(Deno.stdout, text);
}

/**
 * Sends what libraries print with `console` to stderr. `@supabase/lite` logs with `console.log` and
 * `console.info`, which would otherwise land between the caller and its JSON line.
 */
export function sendConsoleToStderr(): void {
  // `console.error` formats like the others and already writes to stderr.
  console.log = console.info = console.debug = console.error;
}

/**
 * Passes every line of a child's output to `onLine`, until the stream ends. A last line without a
 * line break counts too.
 */
export async function forEachLine(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  // A child that is killed can end its pipe with an error; what it said until then was passed on.
  try {
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onLine(line);
    }
  } catch { /* as above */ }
  if (rest !== "") onLine(rest);
}

function writeLine(to: { writeSync(data: Uint8Array): number }, text: string): void {
  let bytes = encoder.encode(`${text}\n`);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(to.writeSync(bytes));
  } catch { /* The reader has gone, for example `deno task start | head`. Nothing can be said. */ }
}
