/**
 * kapso-webhook for the OpenAPI document.
 *
 * @module
 */
import * as z from "zod";
import { errors, type FunctionDescription, json } from "../_shared/http/openapi.ts";

const error = z.object({
  code: z.string(),
  message: z.string(),
  details: z.null(),
  request_id: z.string(),
});

/** POST /kapso-webhook. */
export const kapsoWebhook: FunctionDescription = {
  name: "kapso-webhook",
  description: "Signed events of Kapso.",
  paths: {
    "/kapso-webhook": {
      post: {
        operationId: "receiveKapsoEvent",
        tags: ["kapso-webhook"],
        summary: "Record an event and process it. Whatever is signed is answered with 200.",
        security: [{ kapsoSignature: [] }],
        requestParams: {
          header: z.object({
            "X-Webhook-Event": z.string(),
            "X-Idempotency-Key": z.string(),
            "X-Webhook-Payload-Version": z.string(),
          }).partial(),
        },
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: z.looseObject({}).meta({ description: "As Kapso sends it." }),
            },
          },
        },
        responses: {
          "200": json(
            z.object({
              received: z.literal(true),
              id: z.int(),
              state: z.enum(["processed", "ignored", "failed", "received"]),
            }),
            "Recorded; state says what became of it",
          ),
          ...errors(error, 401, 405, 413, 500, 503),
        },
      },
    },
  },
};
