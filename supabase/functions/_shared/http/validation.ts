/**
 * From zod's complaints to sentences for callers.
 *
 * @module
 */
import type { z } from "zod";
import { AppError } from "./errors.ts";

/**
 * The first fault, with field and index and without the value: `messages[3].sent_at must be …`.
 *
 * @param whole What the value as a whole is called, where no field is at fault.
 */
export function describeIssue(error: z.ZodError, whole: string): string {
  const issue = error.issues[0]!;
  const path = issue.path.reduce<string>(
    (text, key) =>
      typeof key === "number"
        ? `${text}[${key}]`
        : text === ""
        ? String(key)
        : `${text}.${String(key)}`,
    "",
  );
  // Messages of ours go on from the field; zod's own are sentences.
  return `${path || whole}${/^[A-Z]/.test(issue.message) ? ":" : ""} ${issue.message}`;
}

/**
 * Check the input of a request.
 *
 * @throws {AppError} invalid_request (400), naming the first fault.
 */
export function readInput<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AppError(400, "invalid_request", describeIssue(parsed.error, "The body"));
}
