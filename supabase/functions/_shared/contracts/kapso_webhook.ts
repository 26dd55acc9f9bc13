/**
 * The API of kapso-webhook: signed events of Kapso.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "./errors.ts";
import { defineRoute, errorsOf } from "./route.ts";

/** State of a recorded event: `received` until it is processed. */
export const webhookEventState = z.enum(["processed", "ignored", "failed", "received"]);

/** State of a recorded event. */
export type WebhookEventState = z.output<typeof webhookEventState>;

/** `POST /kapso-webhook`. */
export const receiveKapsoEvent = defineRoute({
  method: "post",
  path: "/kapso-webhook",
  operationId: "receiveKapsoEvent",
  summary: "Record an event and process it. Every signed event is answered with 200.",
  security: ["kapsoSignature"],
  headers: z.object({
    "X-Webhook-Event": z.string(),
    "X-Idempotency-Key": z.string(),
    "X-Webhook-Payload-Version": z.string(),
  }).partial(),
  // The signature covers the bytes as they came.
  rawBody: {
    mediaType: "application/json",
    schema: z.looseObject({}).meta({ description: "As Kapso sends it." }),
  },
  responses: {
    200: {
      description: "Recorded; `state` has the result of processing",
      body: z.object({ received: z.literal(true), id: z.int(), state: webhookEventState }),
    },
  },
  errors: errorsOf(apiError, 401, 405, 408, 413, 429, 500, 503),
});
