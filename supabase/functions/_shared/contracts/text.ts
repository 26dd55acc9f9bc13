/**
 * Texts, times and free-form JSON as the database can store them.
 *
 * @module
 */
import { DateTime } from "luxon";
import * as z from "zod";

/** Whether a text has at most `maxBytes` bytes in UTF-8. A character has at most three for each of its units. */
export function isAtMostBytes(text: string, maxBytes: number): boolean {
  return text.length * 3 <= maxBytes || utf8Length(text) <= maxBytes;
}

/** Bytes of a text in UTF-8. */
export function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

/**
 * The beginning of a text, with a mark behind it: together at most `maxBytes` in UTF-8. A text that fits stays as it is.
 */
export function cutToBytes(text: string, maxBytes: number, mark: string): string {
  if (isAtMostBytes(text, maxBytes)) return text;
  const bytes = new TextEncoder().encode(text).subarray(0, maxBytes - utf8Length(mark));
  // A character that was cut in two is dropped.
  return new TextDecoder().decode(bytes, { stream: true }) + mark;
}

/** Whether a value is an object, and not an array or null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * A text that Postgres can store. A NUL character is refused, because Postgres has no way to keep it.
 * Half of a surrogate pair (an emoji cut in two by a sender's limit) becomes U+FFFD, so that one
 * broken character does not cost the message.
 */
export const storableText = z.string({ error: requiredOr("a string") })
  .refine((text) => !text.includes("\0"), { error: "must not contain a NUL character" })
  .transform((text) => text.toWellFormed());

/**
 * An id: a text that must come back exactly as it was sent, so nothing in it is changed.
 *
 * @param maxLength Characters at most; 512 keeps every index entry within Postgres' limit.
 */
export function storableId(maxLength = 512) {
  return z.string({ error: requiredOr("a string") })
    .min(1, { error: "must not be empty" })
    .max(maxLength, { error: `must be at most ${maxLength} characters` })
    .refine((text) => !text.includes("\0"), { error: "must not contain a NUL character" })
    .refine((text) => text.isWellFormed(), { error: "must be valid Unicode" });
}

/** Whether an ISO 8601 date or time is in a year that Postgres reads: ISO has a year 0000, Postgres has none. */
export function isInYears(text: string): boolean {
  return !text.startsWith("0000");
}

/** Unix times by their size: what is above is nano-, micro- or milliseconds, because as seconds it would be the year 5138. */
const UNITS_PER_MILLISECOND = [[1e17, 1e6], [1e14, 1e3], [1e11, 1], [0, 1e-3]] as const;

/** Milliseconds of a unix time, which may be in seconds, milliseconds, microseconds or nanoseconds; NaN for a negative one. */
export function unixMilliseconds(time: number): number {
  const [, units] = UNITS_PER_MILLISECOND.find(([from]) => time >= from) ?? [0, NaN];
  return time / units;
}

// A whole day first, as YYYY-MM-DD, YYYYMMDD, YYYY-DDD or YYYY-Www-D. Luxon alone would also read "10:30" as
// today and "2026" as New Year, and neither is the time of a message.
const BEGINS_WITH_DAY = /^\d{4}-?(\d{2}-?\d{2}|\d{3}|W\d{2}-?\d)(T|$)/i;

/** A time in UTC with at most milliseconds, in the years 0001 to 9999. */
const UTC_TIME = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/;

/**
 * An ISO 8601 time, as an instant: an offset is converted to UTC, none means UTC. The output is `2026-02-01T10:30:00.000Z`, with up to six decimals where the input has them.
 */
export const instant = z.string({ error: requiredOr("an ISO 8601 string") })
  .transform((text, context): string => {
    // The form nearly every bridge sends, checked without a parser: half the cost of a message.
    if (UTC_TIME.test(text)) {
      const time = new Date(text);
      // A 30 February would come back as 2 March.
      if (!Number.isNaN(time.getTime())) {
        const iso = time.toISOString();
        if (iso.slice(0, 19) === text.slice(0, 19)) return iso;
      }
    }
    const written = text.trim().replace(/^(\d{4}-\d{2}-\d{2}) (?=\d)/, "$1T");
    const time = DateTime.fromISO(written, { zone: "utc" });
    if (!BEGINS_WITH_DAY.test(written) || !time.isValid || time.year < 1 || time.year > 9999) {
      context.addIssue({
        code: "custom",
        message: "must be an ISO 8601 time such as 2026-02-01T10:30:00Z",
      });
      return z.NEVER;
    }
    // Luxon keeps milliseconds; Postgres keeps microseconds, and Python sends them.
    const micros = /[.,]\d{3}(\d{1,3})/.exec(written)?.[1] ?? "";
    return time.toUTC().toISO()!.replace("Z", `${micros.replace(/0+$/, "")}Z`);
  });

/** Levels of a JSON object. A few thousand would overflow the stack of its readers. */
const MAX_JSON_DEPTH = 32;

/** Why a value cannot be stored, and where in it. */
class Unstorable {
  constructor(readonly message: string, readonly path: PropertyKey[] = []) {}
}

/** A copy with texts as {@linkcode storableText} has them. Throws {@linkcode Unstorable}. */
function toStorable(value: unknown, path: PropertyKey[]): unknown {
  if (typeof value === "string") {
    if (value.includes("\0")) throw new Unstorable("must not contain a NUL character", path);
    return value.toWellFormed();
  }
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new Unstorable("must be a finite number", path);
  }
  if (typeof value !== "object" || value === null) return value;
  if (path.length === MAX_JSON_DEPTH) {
    throw new Unstorable(`must be at most ${MAX_JSON_DEPTH} levels deep`);
  }
  if (Array.isArray(value)) return value.map((item, index) => toStorable(item, [...path, index]));
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    if (key.includes("\0")) throw new Unstorable("must not have a NUL character in a key", path);
    // It would become the prototype of the copy, and of other copies after it.
    if (key !== "__proto__") copy[key.toWellFormed()] = toStorable(item, [...path, key]);
  }
  return copy;
}

/**
 * A JSON object of at most `maxBytes` bytes and {@linkcode MAX_JSON_DEPTH} levels that Postgres can store:
 * no NUL characters, no broken Unicode, no infinite numbers. A hand-written walk: zod's union of all kinds of
 * JSON takes several times as long, and does not say what is wrong.
 */
export function storableObject(maxBytes: number) {
  return z.record(z.string(), z.unknown(), { error: requiredOr("an object") })
    .transform((value, context) => {
      try {
        const stored = toStorable(value, []) as Record<string, unknown>;
        if (utf8Length(JSON.stringify(stored)) <= maxBytes) return stored;
        context.addIssue(`must be at most ${maxBytes / 1024} KB`);
      } catch (fault) {
        if (!(fault instanceof Unstorable)) throw fault;
        const { message, path } = fault;
        context.addIssue({ code: "custom", message, path });
      }
      return z.NEVER;
    });
}

/** Error text of zod for a value of the wrong type: distinguishes a missing field from a wrong one. */
export function requiredOr(wanted: string) {
  return (issue: { input?: unknown }) =>
    issue.input === undefined ? "is required" : `must be ${wanted}`;
}
