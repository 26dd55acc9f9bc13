/**
 * The requests of conversation-sync. Keys that are not known are dropped.
 *
 * @module
 */
import * as z from "zod";
import { MAX_METADATA_BYTES } from "../message.ts";
import { wholeNumber } from "../numbers.ts";
import { instant, requiredOr, storableId, storableObject, storableText } from "../text.ts";
import { messageRole } from "./answers.ts";

/** The body of a request, in bytes: a context and the 50 messages that agents may send back with it. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** Sessions in a page: the default, and the most. */
export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 100;
/** Hours by which a session can be extended. */
export const MAX_HOURS = 720;

const id = () => storableId(200);

/** Missing, null and empty are the same: agents send settings that are not set. */
function optional<Schema extends z.ZodType>(schema: Schema) {
  return z.preprocess(
    (value) => value === null || value === "" ? undefined : value,
    schema.optional(),
  ).optional();
}

/** A JSON body. */
function bodyOf<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.object(shape, { error: "must be an object" });
}

/** A customer: a phone number in any spelling, or another identifier. */
const participant = id().refine((text) => text.trim() !== "", { error: "must not be empty" });
const subDomain = id().transform((text) => text.toLowerCase())
  .meta({ description: "Slug of a workspace." });
const localId = optional(id()).meta({ description: "A branch of the business." });
const botId = optional(id());
const name = id();
const version = optional(
  z.int({ error: "must be a whole number" }).min(1, { error: "must be at least 1" }),
).meta({
  description: "Write only if the session still has this version; otherwise 409 with its state.",
});

/** The id of an order in a context; some shops number theirs. */
const orderId = z.union([id(), z.int().transform(String)], {
  error: "must be a text of 1 to 200 characters",
});
// The limit of a context depends on what is stored already: the database checks it. An order in it is linked like one
// of `POST …/orders`, so an id that could not be linked is refused here.
const context = storableObject(MAX_BODY_BYTES).pipe(z.looseObject({
  currentOrderId: optional(orderId),
  orderHistory: optional(
    z.array(orderId, { error: "must be a list of order ids" })
      .max(1000, { error: "must have at most 1000 order ids" }),
  ),
}));
const metadata = optional(storableObject(MAX_METADATA_BYTES));
const flag = z.boolean({ error: "must be true or false" });

const message = {
  role: z.enum(messageRole.options, { error: requiredOr('"user" or "bot"') }),
  content: storableText,
  messageId: optional(storableId()).meta({
    description:
      "Id of the message on its platform. It is stored once, also in the customer's conversation.",
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
  limit: wholeNumber(1, MAX_LIMIT, DEFAULT_LIMIT),
  offset: wholeNumber(0, 999_999_999, 0),
});
export const sessionQuery = z.object({ subDomain, localId });
export const ordersQuery = z.object({ subDomain });

/** Bodies. */
export const createBody = bodyOf({ userId: participant, subDomain, localId, botId, metadata });
export const syncBody = bodyOf({
  intent: name,
  step: name,
  context,
  metadata,
  isActive: optional(flag),
  version,
});
export const agentMessageBody = bodyOf({ ...message, version });
export const messageBody = bodyOf({ subDomain, localId, ...message, version });
export const intentBody = bodyOf({
  subDomain,
  localId,
  intent: name,
  step: optional(name),
  version,
});
export const contextBody = bodyOf({ subDomain, localId, context, merge: optional(flag), version });
export const resetBody = bodyOf({ subDomain, keepHistory: optional(flag), version });
export const extendBody = bodyOf({
  subDomain,
  hours: optional(
    z.number({ error: "must be a number" })
      .gt(0, { error: "must be more than 0" })
      .max(MAX_HOURS, { error: `must be at most ${MAX_HOURS}` }),
  ),
  version,
});
export const orderBody = bodyOf({ subDomain, orderId: id(), version });
export const endBody = bodyOf({ subDomain, version });
