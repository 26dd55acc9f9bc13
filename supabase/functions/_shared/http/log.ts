/**
 * The log of the functions: one line of JSON per event. The only place that writes to the console.
 *
 * Message texts, phone numbers, names, keys and signatures do not belong in a log: callers pass counts,
 * codes, durations and ids that this project made itself.
 *
 * @module
 */

/** What may be logged besides the event's name. */
export type LogFields = Record<string, string | number | boolean | null | undefined>;

/** Writes one event. */
export type Log = (level: "info" | "error", event: string, fields?: LogFields) => void;

/**
 * The name of an error and of its causes, such as `MediaError, TypeError`. For the log: messages of errors may quote
 * the input.
 */
export function errorNames(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return error.cause === undefined ? error.name : `${error.name}, ${errorNames(error.cause)}`;
}

/** A log on the console, where Supabase collects it. */
export const consoleLog: Log = (level, event, fields = {}) => {
  const line = JSON.stringify({ level, event, ...fields });
  // deno-lint-ignore no-console
  (level === "error" ? console.error : console.log)(line);
};
