/**
 * Checks input and turns the first fault into a sentence for the caller.
 *
 * @module
 */
import type * as z from "zod";
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
  // Our messages continue the sentence that the field begins; zod's own are whole sentences.
  return `${path || whole}${/^[A-Z]/.test(issue.message) ? ":" : ""} ${issue.message}`;
}

/** Options of {@linkcode readInput}. */
export interface ReadInputOptions {
  /** Code of the error; `invalid_request` by default. */
  readonly code?: string | undefined;
  /** What the value as a whole is called in the error; `The body` by default. */
  readonly whole?: string;
}

/**
 * Checks the input of a request.
 *
 * @throws {AppError} invalid_request or `options.code` (400), naming the first fault.
 */
export function readInput<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  { code = "invalid_request", whole = "The body" }: ReadInputOptions = {},
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AppError(400, code, describeIssue(parsed.error, whole));
}
