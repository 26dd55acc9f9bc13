/**
 * daily-summary for the OpenAPI document.
 *
 * @module
 */
import * as z from "zod";
import { errors, type FunctionDescription, json } from "../_shared/http/openapi.ts";
import { progressQuery, summaryRequest } from "./schema.ts";

const error = z.object({
  code: z.string(),
  message: z.string(),
  details: z.null(),
  request_id: z.string(),
});

const run = z.object({
  workspace_id: z.guid(),
  local_date: z.iso.date(),
  state: z.enum(["running", "finished"]),
  people_done: z.int(),
  notes_written: z.int(),
  ai_notes: z.int(),
  tokens_used: z.int(),
  covered_until: z.iso.datetime(),
  started_at: z.iso.datetime(),
  finished_at: z.iso.datetime().nullable(),
}).meta({ id: "SummaryRun" });

/** /daily-summary and what is below it. */
export const dailySummary: FunctionDescription = {
  name: "daily-summary",
  description: "A note per person and day.",
  paths: {
    "/daily-summary": {
      post: {
        operationId: "summarizeDay",
        tags: ["daily-summary"],
        summary:
          "Make or continue summaries: a day of a workspace, or with the service key all due.",
        security: [{ userToken: [] }, { serviceKey: [] }],
        requestBody: {
          required: true,
          content: { "application/json": { schema: summaryRequest } },
        },
        responses: {
          "200": json(
            z.union([
              z.object({ run, is_busy: z.boolean() }),
              z.object({ runs: z.array(run), has_more: z.boolean() }),
            ]),
            "The run, for a person; with the service key the runs that were worked on",
          ),
          ...errors(error, 400, 401, 403, 404, 405, 413, 500, 503),
        },
      },
    },
    "/daily-summary/tick": {
      post: {
        operationId: "tickDailySummary",
        tags: ["daily-summary"],
        summary: "For the schedule, every five minutes: what is due in all workspaces.",
        security: [{ serviceKey: [] }],
        responses: {
          "202": json(z.object({ accepted: z.literal(true) }), "Begun"),
          ...errors(error, 401, 403, 405, 500, 503),
        },
      },
    },
    "/daily-summary/{workspace}": {
      get: {
        operationId: "getSummaryRun",
        tags: ["daily-summary"],
        summary: "How far the summaries of a day are.",
        security: [{ userToken: [] }],
        requestParams: { path: z.object({ workspace: z.guid() }), query: progressQuery },
        responses: {
          "200": json(
            z.object({ run: run.nullable() }),
            "The run; null where the day was never summarised",
          ),
          ...errors(error, 400, 401, 403, 404, 405, 500, 503),
        },
      },
    },
  },
};
