/**
 * kapso-sync for the OpenAPI document.
 *
 * @module
 */
import * as z from "zod";
import { errors, type FunctionDescription, json } from "../_shared/http/openapi.ts";
import { syncRequest } from "./schema.ts";

const error = z.object({
  code: z.string(),
  message: z.string(),
  details: z.null(),
  request_id: z.string(),
});

const run = z.looseObject({ id: z.uuid(), state: z.string(), phase: z.string() }).meta({
  description: "A row of sync_runs.",
});

const callers = [{ userToken: [] }, { serviceKey: [] }];

/** /kapso-sync and what is below it. */
export const kapsoSync: FunctionDescription = {
  name: "kapso-sync",
  description: "History from Kapso, and repair of what its webhooks lost.",
  paths: {
    "/kapso-sync": {
      post: {
        operationId: "syncKapso",
        tags: ["kapso-sync"],
        summary:
          "Work on a run for as long as a function may. The answer is one JSON event per line.",
        security: callers,
        requestParams: { header: z.object({ "x-kapso-api-key": z.string() }).partial() },
        requestBody: { required: true, content: { "application/json": { schema: syncRequest } } },
        responses: {
          "200": {
            description: "Events; the last one of each number says how it ended",
            content: { "application/x-ndjson": { schema: z.string() } },
          },
          ...errors(error, 400, 401, 403, 404, 405, 413, 415, 422, 500, 503),
        },
      },
      get: {
        operationId: "listSyncRuns",
        tags: ["kapso-sync"],
        summary: "The newest 50 runs that the caller may see.",
        security: callers,
        requestParams: {
          query: z.object({ workspace_id: z.uuid(), connection_id: z.uuid() }).partial(),
        },
        responses: {
          "200": json(z.object({ runs: z.array(run) }), "Runs, newest first"),
          ...errors(error, 401, 405, 500, 503),
        },
      },
    },
    "/kapso-sync/runs/{id}/stop": {
      post: {
        operationId: "stopSyncRun",
        tags: ["kapso-sync"],
        summary: "Ask a run to stop; it does so at its next page.",
        security: callers,
        requestParams: { path: z.object({ id: z.uuid() }) },
        responses: {
          "200": json(z.object({ run }), "The run"),
          ...errors(error, 401, 404, 405, 500, 503),
        },
      },
    },
    "/kapso-sync/tick": {
      post: {
        operationId: "tickKapsoSync",
        tags: ["kapso-sync"],
        summary: "For the schedule, every minute: next slices, and repairs that are due.",
        security: [{ serviceKey: [] }],
        responses: {
          "202": json(z.object({ runs: z.int() }), "How many it has begun to work on"),
          ...errors(error, 401, 403, 405, 500, 503),
        },
      },
    },
  },
};
