/**
 * The bodies of Kapso's webhooks (payload v2) and the rows of its lists, as they arrive.
 *
 * Every field is optional and every invalid one counts as missing: what Kapso documents and what it sends
 * differ, and one odd field must not cost the message. `normalize.ts` checks what it needs.
 *
 * @module
 */
import * as z from "zod";
import { storableId } from "../../contracts/text.ts";

/** A text. NUL characters are removed, because Postgres cannot store them. */
const text = z.string().transform((value) => value.replaceAll("\0", "")).optional().catch(
  undefined,
);
/**
 * An id; some accounts get numbers where others get texts of digits. Never changed, because it must come
 * back as it was: one that cannot be stored counts as missing.
 */
const id = z.union([storableId(), z.number().int().transform(String)]).optional().catch(undefined);
const flag = z.boolean().optional().catch(undefined);
/** Unix seconds or ISO 8601; see `readInstant`. */
const time = z.union([z.string(), z.number()]).optional().catch(undefined);
const object = z.record(z.string(), z.unknown()).optional().catch(undefined);

/** An array without its invalid elements. */
function list<Schema extends z.ZodType>(schema: Schema) {
  return z.array(schema.nullable().catch(null))
    .transform((items) => items.filter((item) => item !== null))
    .optional().catch(undefined);
}

/** Why a message failed, in Meta's form. */
export const wireError = z.object({
  code: z.union([z.string(), z.number()]).optional().catch(undefined),
  title: text,
  message: text,
  error_data: z.object({ details: text }).optional().catch(undefined),
});
/** An error of {@linkcode wireStatus}. */
export type WireError = z.output<typeof wireError>;

/** One of Meta's statuses of an outbound message. */
export const wireStatus = z.object({
  status: text,
  timestamp: time,
  recipient_id: id,
  recipient_user_id: id,
  recipient_type: text,
  biz_opaque_callback_data: text,
  errors: list(wireError),
});

/** What Kapso adds to a message. */
const wireMessageKapso = z.object({
  direction: text,
  status: text,
  origin: text,
  has_media: flag,
  content: text,
  transcript: z.union([z.string(), z.object({ text: z.string() }).transform((value) => value.text)])
    .transform((value) => value.replaceAll("\0", "")).optional().catch(undefined),
  statuses: list(wireStatus),
  media_url: text,
  media_data: z.object({
    url: text,
    filename: text,
    content_type: text,
    byte_size: z.number().optional().catch(undefined),
  }).optional().catch(undefined),
  message_type_data: object,
  phone_number: id,
  phone_number_id: id,
  business_scoped_user_id: id,
  whatsapp_conversation_id: id,
  contact_name: text,
  flow_response: z.unknown().optional(),
  flow_name: text,
  order_text: text,
});

/** A message. The object of its type (`text`, `image`, …) lies under the type's name. */
export const wireMessage = z.looseObject({
  id,
  timestamp: time,
  created_at: time,
  type: text,
  from: id,
  to: id,
  recipient_type: text,
  group_id: id,
  from_user_id: id,
  from_parent_user_id: id,
  to_user_id: id,
  to_parent_user_id: id,
  username: text,
  biz_opaque_callback_data: text,
  context: object,
  referral: object,
  history_context: z.object({ status: text }).optional().catch(undefined),
  errors: list(wireError),
  kapso: wireMessageKapso.optional().catch(undefined),
  /** Payload v1. */
  message_type: text,
});
/** A message as Kapso writes it. */
export type WireMessage = z.output<typeof wireMessage>;

/** Kapso's conversation: one session of a conversation. */
export const wireConversation = z.object({
  id,
  phone_number: id,
  phone_number_id: id,
  business_scoped_user_id: id,
  parent_business_scoped_user_id: id,
  username: text,
  group_id: id,
  status: text,
  last_active_at: time,
  created_at: time,
  updated_at: time,
  contact_name: text,
  kapso: z.object({ contact_name: text }).optional().catch(undefined),
});
/** A conversation as Kapso writes it. */
export type WireConversation = z.output<typeof wireConversation>;

/** The body of one event, or one element of a batch. */
export const wireElement = z.looseObject({
  type: text,
  event: text,
  phone_number_id: id,
  message: wireMessage.optional().catch(undefined),
  conversation: wireConversation.optional().catch(undefined),
  contact: object,
  since_message: z.object({ created_at: time }).optional().catch(undefined),
  whatsapp_config: object,
});
/** An event as Kapso writes it. */
export type WireElement = z.output<typeof wireElement>;
