/**
 * The only module in `local/` that writes to the terminal. It writes to stderr, because stdout is for the line
 * of `--json`.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- the modules that must not use the console call this one

const encoder = new TextEncoder();

/** Writes one line for the person who started the stack. */
export function logInfo(message: string): void {
  writeLine(Deno.stderr, message);
}

/** Writes one line about a failure that does not end the stack. */
export function logWarning(message: string): void {
  writeLine(Deno.stderr, `warning: ${message}`);
}

/** Writes a line of a child process's output, with the name of that process. */
export function logFrom(source: string, line: string): void {
  writeLine(Deno.stderr, `[${source}] ${line}`);
}

/** Writes to stdout: only the JSON line, the banner and `--help`. */
export function print(text: string): void {
  writeLine(Deno.stdout, text);
}

/**
 * Redirects the console to stderr. `@supabase/lite` logs with `console.log` and `console.info`, which would
 * otherwise mix with the JSON line.
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
  // A killed child can end its pipe with an error; the lines before it were passed on.
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
  } catch { /* The reader has gone, for example `deno task start | head`. */ }
}
