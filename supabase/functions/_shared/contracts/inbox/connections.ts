/**
 * Connections: list, create, change, and their credentials and webhook at Kapso. Credentials go in and
 * never come out, except a new API secret, once.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "../errors.ts";
import { platform } from "../connection.ts";
import { defineRoute, errorsOf } from "../route.ts";
import { storableText } from "../text.ts";
import { addressedId, BODY_ERRORS, id, idParams, REQUEST_ERRORS, timestamp } from "./fields.ts";

/** A connection, and how it is. */
export const connection = z.object({
  id,
  connection_id: z.string(),
  workspace_id: id,
  platform,
  name: z.string(),
  phone_number_id: z.string().nullable().meta({
    description: "Meta's id of its phone number, proven with a Kapso API key.",
  }),
  requested_phone_number_id: z.string().nullable().meta({
    description: "The phone number that waits for its proof, and counts for nothing until then.",
  }),
  is_active: z.boolean(),
  created_at: timestamp,
  last_synced_at: timestamp.nullable(),
  last_event_at: timestamp.nullable(),
  confirmed_until: timestamp.nullable(),
  lag_seconds: z.int().nullable().meta({
    description:
      "Seconds since everything at Kapso was last known to be stored; null before the first sync.",
  }),
  silence_seconds: z.int().nullable().meta({ description: "Seconds since anything arrived." }),
  is_silent: z.boolean().meta({ description: "Active, but nothing arrived for 24 hours." }),
  failed_events: z.int(),
  has_kapso_key: z.boolean(),
  has_webhook_secret: z.boolean(),
  can_send: z.boolean(),
}).meta({ id: "Connection" });

/** A connection, and how it is. */
export type Connection = z.output<typeof connection>;

/** Why a phone number is not proven, or its webhook cannot be read. */
export const kapsoProblem = z.enum([
  "no_key",
  "key_rejected",
  "number_not_found",
  "number_taken",
  "unavailable",
]).meta({
  id: "KapsoProblem",
  description:
    "no_key: no Kapso API key. key_rejected: Kapso refuses it. number_not_found: its project has no such phone number. number_taken: another connection has the number and can prove it. unavailable: Kapso could not be asked.",
});

/** Why a phone number is not proven, or its webhook cannot be read. */
export type KapsoProblem = z.output<typeof kapsoProblem>;

/** The webhook of a phone number at Kapso. */
export const webhookHealth = z.object({
  state: z.enum(["active", "paused", "missing", "incomplete", "no_key", "unknown"]),
  url: z.string().nullable().meta({ description: "Where it delivers to." }),
  missing_events: z.array(z.string()).meta({ description: "Events it should deliver too." }),
  is_ours: z.boolean().meta({ description: "Whether it delivers to this project." }),
  problem: kapsoProblem.nullable().meta({ description: "Why it could not be read." }),
}).meta({ id: "WebhookHealth" });

/** The webhook of a phone number at Kapso. */
export type WebhookHealth = z.output<typeof webhookHealth>;

const name = storableText.pipe(z.string().trim().min(1).max(200));
const phoneNumberId = z.string().regex(/^[0-9]{1,32}$/, { error: "must be digits" });

const newConnection = z.object({
  workspace_id: id,
  platform,
  connection_id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, {
    error: "must be 1 to 128 letters, digits, dots, hyphens and underscores",
  }),
  name: name.optional(),
  phone_number_id: phoneNumberId.optional(),
});

/** A connection to create. */
export type NewConnection = z.output<typeof newConnection>;

const connectionChange = z.object({
  name: name.optional(),
  is_active: z.boolean().optional(),
  phone_number_id: phoneNumberId.nullable().optional(),
}).refine((change) => Object.keys(change).length > 0, { error: "has nothing to change" });

/** Settings of a connection that change. */
export type ConnectionChange = z.output<typeof connectionChange>;

const credential = z.string().trim().min(8, { error: "is too short" }).max(500)
  .regex(/^[\x21-\x7e]+$/, { error: "must be printable ASCII" });

const oneConnection = z.object({ connection });
const withNumber = oneConnection.extend({
  number_problem: kapsoProblem.nullable().meta({
    description: "Why the requested phone number is not the connection's yet.",
  }),
});

/** `GET /inbox/connections`. */
export const listConnections = defineRoute({
  method: "get",
  path: "/inbox/connections",
  operationId: "listConnections",
  summary: "The connections of a workspace, and how each is.",
  security: ["userToken"],
  query: z.object({ workspace_id: addressedId }),
  responses: {
    200: { description: "The connections", body: z.object({ connections: z.array(connection) }) },
  },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, 400, 404),
});

/** `POST /inbox/connections`. */
export const createConnection = defineRoute({
  method: "post",
  path: "/inbox/connections",
  operationId: "createConnection",
  summary: "Create a connection. Only this answer has its API secret.",
  security: ["userToken"],
  body: newConnection,
  responses: {
    201: {
      description: "Created",
      body: withNumber.extend({ api_secret: z.string() }),
    },
  },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...BODY_ERRORS, 404, 409, 422),
});

/** `PATCH /inbox/connections/{id}`. */
export const updateConnection = defineRoute({
  method: "patch",
  path: "/inbox/connections/{id}",
  operationId: "updateConnection",
  summary: "Change the name or phone number, or switch the connection on or off.",
  security: ["userToken"],
  params: idParams,
  body: connectionChange,
  responses: { 200: { description: "The connection afterwards", body: withNumber } },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...BODY_ERRORS, 404, 422),
});

/** `POST /inbox/connections/{id}/rotate`. */
export const rotateConnectionSecret = defineRoute({
  method: "post",
  path: "/inbox/connections/{id}/rotate",
  operationId: "rotateConnectionSecret",
  summary: "Replace the API secret; the former one stays valid for the hours of grace.",
  security: ["userToken"],
  params: idParams,
  body: z.object({ grace_hours: z.number().min(0).max(720).default(24) }),
  responses: {
    200: {
      description: "The new secret",
      body: z.object({ api_secret: z.string(), previous_expires_at: timestamp.nullable() }),
    },
  },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...BODY_ERRORS, 404),
});

/** `PUT /inbox/connections/{id}/kapso`. */
export const setKapsoCredentials = defineRoute({
  method: "put",
  path: "/inbox/connections/{id}/kapso",
  operationId: "setKapsoCredentials",
  summary:
    "Set the Kapso API key, after Kapso has found the phone number with it, or the webhook's secret; null removes the key.",
  security: ["userToken"],
  params: idParams,
  body: z.object({
    api_key: credential.nullable().optional(),
    webhook_secret: credential.optional(),
  }).refine((change) => Object.keys(change).length > 0, { error: "has nothing to change" }),
  responses: { 200: { description: "The connection afterwards", body: oneConnection } },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...BODY_ERRORS, 404, 409, 422),
});

/** `POST /inbox/connections/{id}/webhook`. */
export const registerWebhook = defineRoute({
  method: "post",
  path: "/inbox/connections/{id}/webhook",
  operationId: "registerWebhook",
  summary: "Register the webhook of the phone number at Kapso, or repair it.",
  security: ["userToken"],
  params: idParams,
  responses: {
    200: { description: "The webhook", body: z.object({ webhook: webhookHealth }) },
  },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, 400, 404, 409, 422),
});

/** `GET /inbox/connections/{id}/health`. */
export const checkWebhook = defineRoute({
  method: "get",
  path: "/inbox/connections/{id}/health",
  operationId: "checkWebhook",
  summary: "Check the webhook of the phone number at Kapso.",
  security: ["userToken"],
  params: idParams,
  responses: {
    200: { description: "The webhook", body: z.object({ webhook: webhookHealth }) },
  },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, 400, 404),
});
