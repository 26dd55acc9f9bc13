/**
 * The API of directory: which project serves a workspace.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "./errors.ts";
import { defineRoute, errorsOf } from "./route.ts";

const name = z.string().max(200, { error: "must be at most 200 characters" }).optional();

/** The query string: one of them, or none with a key. */
export const directoryQuery = z.object({
  workspace: name.meta({ description: "The slug of the workspace." }),
  connection_id: name,
  phone_number_id: name,
});

/** A checked query. */
export type DirectoryQuery = z.output<typeof directoryQuery>;

/** `GET /directory`. */
export const findProject = defineRoute({
  method: "get",
  path: "/directory",
  operationId: "findProject",
  summary:
    "The project that serves a workspace, by one name or by the key of a bridge or an agent.",
  security: [],
  headers: z.object({ "x-api-key": z.string().optional() }),
  query: directoryQuery,
  responses: {
    200: {
      description: "The project",
      body: z.object({
        project_url: z.url(),
        publishable_key: z.string(),
      }),
    },
  },
  errors: errorsOf(apiError, 400, 404, 405, 429, 500, 503),
});
