/**
 * A number's webhooks, as the command needs them: what it reads of Kapso's rows, and what it says when
 * Kapso refuses.
 *
 * @module
 */

import * as z from "zod";

import type { KapsoError, Row } from "../../../supabase/functions/_shared/kapso/api/client.ts";
import { Problem } from "../../usage_error.ts";

const webhookSchema = z.object({
  id: z.string(),
  url: z.string(),
  kind: z.string().nullish(),
  active: z.boolean(),
  events: z.array(z.string()).nullish().transform((events) => events ?? []),
  payload_version: z.string().nullish(),
  buffer_enabled: z.boolean().nullish(),
});

const deliverySchema = z.object({
  id: z.string(),
  event: z.string().nullish(),
  status: z.string(),
  response_status: z.number().nullish(),
  attempt_count: z.number().nullish(),
  created_at: z.string().nullish(),
  error_message: z.string().nullish(),
});

/** A webhook, as Kapso lists it. */
export type Webhook = z.output<typeof webhookSchema>;
/** A row of Kapso's delivery log. */
export type DeliveryRow = z.output<typeof deliverySchema>;

/** @throws {Problem} where the row is no webhook. */
export function readWebhook(row: Row): Webhook {
  return read(webhookSchema, row, "webhook");
}

/** @throws {Problem} where the row is no delivery. */
export function readDelivery(row: Row): DeliveryRow {
  return read(deliverySchema, row, "delivery");
}

function read<Schema extends z.ZodType>(schema: Schema, row: Row, what: string) {
  const parsed = schema.safeParse(row);
  if (!parsed.success) throw new Problem(`Kapso describes a ${what} otherwise than expected`);
  return parsed.data;
}

/** What a refusal means for whoever typed the command. */
export function explain(error: KapsoError, baseUrl: string): Problem {
  if (error.status === 0) return new Problem(`${error.message} at ${baseUrl}.`);
  const meaning: Record<number, string> = {
    401: "Kapso does not accept KAPSO_API_KEY",
    403: "KAPSO_API_KEY may not do this",
    404: "Kapso does not know this number or webhook; is the key one of the right project?",
    429: "Kapso's rate limit is used up; try again in a minute",
  };
  const start = meaning[error.status];
  return new Problem(start === undefined ? `${error.message}.` : `${start}: ${error.message}`);
}
