/**
 * The query of the people API.
 *
 * @module
 */
import { z } from "zod";
import { instant, storableText } from "../_shared/contracts/text.ts";
import { AppError } from "../_shared/http/errors.ts";

/** People in a page: the default, and the most. */
export const DEFAULT_LIMIT = 100;
export const MAX_LIMIT = 500;

const wholeNumber = (from: number, to: number) =>
  z.string().regex(/^\d{1,9}$/, { error: `must be a whole number from ${from} to ${to}` })
    .transform(Number)
    .refine((value) => value >= from && value <= to, {
      error: `must be a whole number from ${from} to ${to}`,
    });

/** The query string. */
export const query = z.object({
  search: storableText.pipe(z.string().max(200, { error: "must be at most 200 characters" }))
    .optional(),
  phone: storableText
    .pipe(z.string().max(64, { error: "must be at most 64 characters" }))
    .refine((text) => /\d{3}/.test(text.replace(/\D/g, "")), {
      error: "must have at least 3 digits",
    })
    .optional(),
  updated_since: instant.optional(),
  limit: wholeNumber(1, MAX_LIMIT).default(DEFAULT_LIMIT),
  offset: wholeNumber(0, 999_999_999).default(0),
});

/** A checked query. */
export type PeopleQuery = z.output<typeof query>;

/**
 * Check the query string. An empty parameter counts as not given.
 *
 * @throws {AppError} invalid_query (400).
 */
export function parseQuery(given: Record<string, string>): PeopleQuery {
  const parsed = query.safeParse(
    Object.fromEntries(Object.entries(given).filter(([, value]) => value !== "")),
  );
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new AppError(400, "invalid_query", `${String(issue.path[0])} ${issue.message}`);
  }
  return parsed.data;
}
