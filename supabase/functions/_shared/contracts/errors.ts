/**
 * Bodies of errors.
 *
 * @module
 */
import * as z from "zod";

/** The body of an error in PostgREST's keys, for functions whose contract has no shape of its own. */
export const apiError = z.object({
  code: z.string().meta({ description: "Stable code for programs; docs/errors.md lists them." }),
  message: z.string().meta({ description: "What is wrong and what to change, for people." }),
  details: z.record(z.string(), z.unknown()).nullable(),
  request_id: z.string(),
}).meta({ id: "ApiError" });

/** The body of an error. */
export type ApiError = z.output<typeof apiError>;

/** The body of an error of messaging-ingest and messaging-people. */
export const messagingError = z.object({
  error: z.string(),
  code: z.string(),
  request_id: z.string(),
}).meta({ id: "MessagingError" });

/** The body of an error of messaging-ingest and messaging-people. */
export type MessagingError = z.output<typeof messagingError>;
