/**
 * Reads command lines.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";
import { usageError } from "./command_error.ts";

/**
 * Parses arguments as `node:util` does, strictly.
 *
 * @throws {CommandError} with exit code 2 for an argument that is unknown or lacks its value.
 */
export function readArguments<const Config extends ParseArgsConfig>(
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config);
  } catch (error) {
    // Node adds advice about positional arguments after the first sentence.
    throw usageError(error instanceof Error ? `${error.message.split(". ")[0]}.` : String(error));
  }
}

/**
 * Reads a whole number.
 *
 * @param option The option's name, for the message.
 * @param or What else the option may be, also for the message.
 * @throws {CommandError} with exit code 2.
 */
export function wholeNumber(
  text: string,
  option: string,
  { min, max = Infinity, or = "" }: { min: number; max?: number; or?: string },
): number {
  const value = /^\d+$/u.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  const range = max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`;
  throw usageError(`--${option} must be a whole number ${range}${or}.`);
}

/**
 * Reads a point in time.
 *
 * @param timeZone Where the time is meant, if the text does not say so.
 * @returns ISO 8601, UTC.
 * @throws {CommandError} with exit code 2.
 */
export function pointInTime(
  text: string,
  option: string,
  timeZone = Temporal.Now.timeZoneId(),
): string {
  try {
    const instant = /(?:z|[+-]\d{2}:?\d{2})$/iu.test(text)
      ? Temporal.Instant.from(text)
      : Temporal.PlainDateTime.from(text).toZonedDateTime(timeZone).toInstant();
    return new Date(instant.epochMilliseconds).toISOString();
  } catch {
    throw usageError(
      `--${option} must be a date like 2026-02-01 or a time like 2026-02-01T09:00.`,
    );
  }
}

/** Reads one of a few values. @throws {CommandError} with exit code 2. */
export function oneOf<Value extends string>(
  text: string,
  option: string,
  allowed: readonly Value[],
): Value {
  const found = allowed.find((candidate) => candidate === text);
  if (found === undefined) throw usageError(`--${option} must be one of ${allowed.join(", ")}.`);
  return found;
}

/** Reads a text without spaces around it. @throws {CommandError} with exit code 2 if it is empty. */
export function notEmpty(text: string, option: string): string {
  const trimmed = text.trim();
  if (trimmed === "") throw usageError(`--${option} must not be empty.`);
  return trimmed;
}

/**
 * Whether a key can stand in an HTTP header. `fetch` throws an error that shows the value if not.
 */
export function isHeaderSafe(key: string): boolean {
  return /^[\x21-\x7e]+$/u.test(key);
}
