/**
 * Whole numbers that arrive as text, in a query.
 *
 * @module
 */
import * as z from "zod";

/**
 * A whole number of at most 9 digits in a query string.
 *
 * @param whenAbsent Its value where the parameter is absent.
 */
export function wholeNumber(from: number, to: number, whenAbsent: number) {
  const error = `must be a whole number from ${from} to ${to}`;
  return z.string()
    .refine((text) => /^\d{1,9}$/.test(text), { error, abort: true })
    .transform(Number)
    .refine((value) => value >= from && value <= to, { error })
    .default(whenAbsent)
    // Text on the wire, a number to callers.
    .meta({ override: { type: "integer", minimum: from, maximum: to, default: whenAbsent } });
}
