/**
 * messaging-people for the OpenAPI document.
 *
 * @module
 */
import { z } from "zod";
import { errors, type FunctionDescription, json } from "../_shared/http/openapi.ts";
import { DEFAULT_LIMIT, MAX_LIMIT, query } from "./schema.ts";

const error = z.object({ error: z.string(), code: z.string(), request_id: z.string() });

const person = z.object({
  id: z.uuid(),
  name: z.string().nullable(),
  email: z.string().nullable(),
  phone: z.string().nullable(),
  avatar_url: z.string().nullable(),
  updated_at: z.iso.datetime(),
}).meta({ id: "Person" });

/** GET /messaging-people. */
export const messagingPeople: FunctionDescription = {
  name: "messaging-people",
  description: "The people of a connection's workspace, for a bridge to match against.",
  paths: {
    "/messaging-people": {
      get: {
        operationId: "listPeople",
        tags: ["messaging-people"],
        summary: "People, least recently changed first.",
        security: [{ connectionKey: [] }],
        requestParams: {
          header: z.object({ "x-connection-id": z.string() }),
          query: query.extend({
            // On the wire they are text, to a caller numbers.
            limit: z.int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
            offset: z.int().min(0).max(999_999_999).default(0),
          }),
        },
        responses: {
          "200": json(
            z.object({
              success: z.literal(true),
              total: z.int(),
              limit: z.int(),
              offset: z.int(),
              people: z.array(person),
            }),
            "A page, and how many there are",
          ),
          ...errors(error, 400, 401, 403, 405, 500, 503),
        },
      },
    },
  },
};
