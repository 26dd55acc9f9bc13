/**
 * What the OpenAPI descriptions of the functions have in common. Each function has an `openapi.ts`, which
 * cli/openapi_document.ts collects; none of it runs in a function.
 *
 * @module
 */
import type * as z from "zod";
import type { ZodOpenApiPathsObject, ZodOpenApiResponseObject } from "zod-openapi";

/** What a function answers, and to whom. */
export interface FunctionDescription {
  /** Folder of the function: its tag, and the first segment of its paths. */
  name: string;
  /** What it is for, in a sentence. */
  description: string;
  /** Its paths, below `/functions/v1`, each beginning with `/<name>`. */
  paths: ZodOpenApiPathsObject;
}

/** A response with JSON. */
export function json(schema: z.ZodType, description: string): ZodOpenApiResponseObject {
  return { description, content: { "application/json": { schema } } };
}

const MEANINGS = {
  400: "A field is missing or wrong; the text names it",
  401: "No key or token, or not the right one",
  403: "Not for this caller, or the connection is switched off",
  404: "There is none",
  405: "Another method",
  409: "Does not go with what is there, such as a change of somebody else",
  413: "Too large",
  415: "Not a type of content that is taken here",
  422: "Refused as it is; the text says what to change",
  500: "Failed, and should not have",
  503: "Nothing was processed: repeat after Retry-After",
} as const;

/** Responses for statuses, all with one body. `docs/errors.md` lists the codes. */
export function errors(
  schema: z.ZodType,
  ...statuses: (keyof typeof MEANINGS)[]
): Record<`${4 | 5}${string}`, ZodOpenApiResponseObject> {
  return Object.fromEntries(
    statuses.map((status) => [String(status), json(schema, MEANINGS[status])]),
  );
}
