/**
 * What the schedule calls.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "../errors.ts";
import { defineRoute, errorsOf } from "../route.ts";
import { REQUEST_ERRORS } from "./fields.ts";

/** `POST /inbox/tick`. */
export const runScheduledSending = defineRoute({
  method: "post",
  path: "/inbox/tick",
  operationId: "tickInbox",
  summary: "For the schedule, every minute: send the messages that wait for a sender.",
  security: ["serviceKey"],
  responses: {
    202: {
      description: "Sending has begun",
      body: z.object({
        threads: z.int().meta({ description: "Conversations with messages to send." }),
      }),
    },
  },
  errors: errorsOf(apiError, ...REQUEST_ERRORS),
});
