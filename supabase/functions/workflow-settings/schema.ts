/**
 * What the API of workflow settings is asked.
 *
 * @module
 */
import * as z from "zod";
import { AppError } from "../_shared/http/errors.ts";
import { describeIssue } from "../_shared/http/validation.ts";
import { settingChanges, workflowType } from "../_shared/contracts/workflow_setting.ts";

/** A prompt of 100,000 characters, and the rest. */
export const MAX_BODY_BYTES = 2 * 1024 * 1024;

const version = z.int({ error: "must be the version that you have read" }).min(1);
const fingerprint = z.string().regex(/^[0-9a-f]{32}$/, {
  error: "must be a fingerprint that sync or check has answered",
});

/** A save: the fields, and the version they were read in. */
export const saveBody = settingChanges.extend({ version: version.nullable().optional() });
/** A sync. */
export const syncBody = z.strictObject({
  dry_run: z.boolean({ error: "must be true or false" }).default(false),
  overwrite: fingerprint.optional(),
  version: version.optional(),
});
/** A take-over of Kapso's values. */
export const adoptBody = z.strictObject({ fingerprint, version });
/** "I have updated Kapso". */
export const confirmBody = z.strictObject({ version });

const wholeNumber = (from: number, to: number) =>
  z.string().regex(/^\d{1,15}$/, { error: `must be a whole number from ${from} to ${to}` })
    .transform(Number)
    .refine((value) => value >= from && value <= to, {
      error: `must be a whole number from ${from} to ${to}`,
    });

/** Entries of a page of the history at most. */
export const MAX_HISTORY = 200;
/** Entries of a page, if none are asked for. */
export const DEFAULT_HISTORY = 50;

/** A page of the history. */
export const historyQuery = z.object({
  max: wholeNumber(1, MAX_HISTORY).default(DEFAULT_HISTORY),
  before: wholeNumber(1, Number.MAX_SAFE_INTEGER).optional(),
});
/** Which connection's workflows. */
export const workflowsQuery = z.object({
  connection_id: z.guid({ error: "must be the id of a connection" }).optional(),
});

/** The ids in the path. */
export interface Place {
  workspaceId: string;
  type: string;
}

/**
 * Check the path. What cannot be an id is nobody's.
 *
 * @throws {AppError} workspace_not_found (404), invalid_query (400).
 */
export function parsePlace(workspace: string, type: string): Place {
  const workspaceId = parseWorkspace(workspace);
  const parsed = workflowType.safeParse(type);
  if (!parsed.success) {
    throw new AppError(
      400,
      "invalid_query",
      `The workflow type ${parsed.error.issues[0]!.message}`,
    );
  }
  return { workspaceId, type: parsed.data };
}

/** @throws {AppError} workspace_not_found (404). */
export function parseWorkspace(workspace: string): string {
  const parsed = z.guid().safeParse(workspace);
  if (parsed.success) return parsed.data;
  throw new AppError(404, "workspace_not_found", "There is no such workspace, or not for you");
}

/** An empty parameter counts as not given. @throws {AppError} invalid_query (400). */
export function parseQuery<T extends z.ZodType>(
  schema: T,
  query: Record<string, string>,
): z.output<T> {
  const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    throw new AppError(400, "invalid_query", describeIssue(parsed.error, "The query"));
  }
  return parsed.data;
}
