/**
 * Kapso's delivery log, and what its refusals mean for the person at the terminal.
 *
 * @module
 */

import * as z from "zod";

import type { KapsoError, Row } from "../../../supabase/functions/_shared/kapso/api/client.ts";
import { CommandError, usageError } from "../../command_error.ts";

const deliverySchema = z.object({
  id: z.string(),
  event: z.string().nullish(),
  status: z.string(),
  response_status: z.number().nullish(),
  attempt_count: z.number().nullish(),
  created_at: z.string().nullish(),
  error_message: z.string().nullish(),
});

/** A row of Kapso's delivery log. */
export type DeliveryRow = z.output<typeof deliverySchema>;

/** Reads a row of the delivery log. @throws {CommandError} if it is something else. */
export function readDelivery(row: Row): DeliveryRow {
  const parsed = deliverySchema.safeParse(row);
  if (parsed.success) return parsed.data;
  throw new CommandError("Kapso describes a delivery in a form this program does not know.");
}

/** Says what Kapso's refusal means, and what to check. */
export function explainRefusal(error: KapsoError, baseUrl: string): CommandError {
  switch (error.status) {
    case 0:
      return new CommandError(`${error.message} at ${baseUrl}.`);
    case 401:
      return usageError(`Kapso does not accept KAPSO_API_KEY: ${error.message}`);
    case 403:
      return usageError(`KAPSO_API_KEY may not do this: ${error.message}`);
    case 404:
      return usageError(
        "Kapso does not know this number or webhook. Check that KAPSO_API_KEY belongs to its project: " +
          error.message,
      );
    case 429:
      return new CommandError(
        `Kapso's rate limit is used up. Try again in a minute: ${error.message}`,
      );
    default:
      return new CommandError(`${error.message}.`);
  }
}
