/**
 * The requests of the conversation-sync API. docs/api/conversation-sync.md and the OpenAPI document say
 * the same; tests compare them with these schemas.
 *
 * @module
 */
import * as z from "zod";
import {
  instant,
  isAtMostBytes,
  requiredOr,
  storableId,
  storableObject,
  storableText,
} from "../_shared/contracts/text.ts";
import { MAX_CONTENT_BYTES } from "../_shared/contracts/message.ts";
import { AppError } from "../_shared/http/errors.ts";
import { phoneDigits } from "../_shared/kapso/webhook/identity.ts";

/** The body of a request, in bytes: a context and the 50 messages that agents may send back with it. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** Sessions in a page: the default, and the most. */
export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 100;
/** Hours by which a session can be extended. */
export const MAX_HOURS = 720;
/** `metadata` of a request, in bytes of its JSON. */
export const MAX_METADATA_BYTES = 16 * 1024;

const id = () => storableId(200);

/** Missing, null and empty are the same: agents send settings that are not set. */
function optional<Schema extends z.ZodType>(schema: Schema) {
  return z.preprocess(
    (value) => value === null || value === "" ? undefined : value,
    schema.optional(),
  ).optional();
}

/**
 * A customer: the digits of a phone, however it is written, also URL-encoded, as in a form (a plus for a
 * space) or once too often; or another identifier as it is.
 */
const participant = id()
  .transform((text) => phoneDigits(text) ?? phoneDigits(urlDecoded(text)) ?? text.trim())
  .refine((text) => text !== "", { error: "must not be empty" });

function urlDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

const subDomain = id().transform((text) => text.toLowerCase())
  .meta({ description: "Slug of a workspace." });
const localId = optional(id()).meta({ description: "A branch of the business." });
const botId = optional(id());
const name = id();
const version = optional(
  z.int({ error: "must be a whole number" }).min(1, { error: "must be at least 1" }),
).meta({
  description: "Write only if this is still the version of the session; else 409 with its state.",
});

// How large a context may be depends on what is there already: the database decides.
const context = storableObject(MAX_BODY_BYTES);
const metadata = optional(storableObject(MAX_METADATA_BYTES));
const flag = z.boolean({ error: "must be true or false" });

const wholeNumber = (from: number, to: number) =>
  z.string().regex(/^\d{1,9}$/, { error: `must be a whole number from ${from} to ${to}` })
    .transform(Number)
    .refine((value) => value >= from && value <= to, {
      error: `must be a whole number from ${from} to ${to}`,
    });

const message = {
  role: z.enum(["user", "bot"], { error: requiredOr('"user" or "bot"') }),
  content: storableText,
  messageId: optional(storableId()).meta({
    description:
      "Id of the message on its platform. It is taken once, and filed in the customer's thread.",
  }),
  timestamp: optional(instant).meta({ description: "ISO 8601, now by default." }),
};

/** Parameters of paths. */
export const phonePath = z.object({ phoneNumber: participant });
export const businessPath = z.object({ phoneNumberId: id() });
export const userPath = z.object({ userId: participant });
export const sessionPath = z.object({ sessionId: storableId(400) });

/** Queries. */
export const lookupQuery = z.object({ botId });
export const listQuery = z.object({
  subDomain,
  localId,
  botId,
  intent: optional(name),
  limit: wholeNumber(1, MAX_LIMIT).default(DEFAULT_LIMIT),
  offset: wholeNumber(0, 999_999_999).default(0),
});
export const sessionQuery = z.object({ subDomain, localId });
export const ordersQuery = z.object({ subDomain });

/** Bodies. Keys that are not known are left out. */
export const createBody = z.object({ userId: participant, subDomain, localId, botId, metadata });
export const syncBody = z.object({
  intent: name,
  step: name,
  context,
  metadata,
  isActive: optional(flag),
  version,
});
export const agentMessageBody = z.object({ ...message, version });
export const messageBody = z.object({ subDomain, localId, ...message, version });
export const intentBody = z.object({
  subDomain,
  localId,
  intent: name,
  step: optional(name),
  version,
});
export const contextBody = z.object({
  subDomain,
  localId,
  context,
  merge: optional(flag),
  version,
});
export const resetBody = z.object({ subDomain, keepHistory: optional(flag), version });
export const extendBody = z.object({
  subDomain,
  hours: optional(
    z.number({ error: "must be a number" })
      .gt(0, { error: "must be more than 0" })
      .max(MAX_HOURS, { error: `must be at most ${MAX_HOURS}` }),
  ),
  version,
});
export const orderBody = z.object({ subDomain, orderId: id(), version });
export const endBody = z.object({ subDomain, version });

/**
 * Check a part of a request: its path, its query or its body. Of a query, an empty parameter counts as
 * not given.
 *
 * @throws {AppError} invalid_request (400), naming the field.
 */
export function parse<Schema extends z.ZodType>(schema: Schema, given: unknown): z.output<Schema> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new AppError(
    400,
    "invalid_request",
    path.length === 0 ? "Request body must be an object" : `${path.join(".")} ${message}`,
  );
}

/**
 * Refuse a message that is too long.
 *
 * @throws {AppError} message_too_large (413).
 */
export function requireMessageSize(content: string): void {
  if (isAtMostBytes(content, MAX_CONTENT_BYTES)) return;
  throw new AppError(
    413,
    "message_too_large",
    `content must be at most ${MAX_CONTENT_BYTES / 1024} KB`,
  );
}
