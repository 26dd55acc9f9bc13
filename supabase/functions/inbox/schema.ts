/**
 * The bodies of the inbox API.
 *
 * @module
 */
import * as z from "zod";
import { instant, storableId, storableText } from "../_shared/contracts/text.ts";
import { MAX_TEXT_LENGTH, outboundContent } from "../_shared/kapso/api/outbound_message.ts";

const id = z.uuid({ error: "must be a uuid" });
const name = storableText.pipe(z.string().trim().min(1).max(200));
/** Text that may be emptied. */
const optionalText = (max: number) =>
  storableText.pipe(z.string().trim().max(max)).transform((text) => text === "" ? null : text)
    .nullable().optional();

/** `POST /messages`, without what depends on the type. */
export const sendRequest = z.object({
  conversation_id: id,
  idempotency_key: storableId(200),
  reply_to: storableId().nullish().transform((value) => value ?? null),
  /** A template as it reads. */
  content: storableText.pipe(z.string().max(MAX_TEXT_LENGTH)).optional(),
}).and(outboundContent).refine(
  (message) => message.type !== "reaction" || message.reply_to !== null,
  { path: ["reply_to"], error: "is required: the message to react to" },
);

/** `POST /messages/:id/retry`. */
export const retryRequest = z.object({ confirm_possible_double: z.boolean().default(false) });

/** `POST /conversations/:id/read`. */
export const readRequest = z.object({ up_to: instant.optional() });

/** `POST /conversations/:id/assign`. */
export const assignRequest = z.object({ user_id: id.nullable() });

/** `POST /media-links`. */
export const mediaLinkRequest = z.object({ conversation_id: id, message_id: storableId() });

/** `PATCH /people/:id`. */
export const personRequest = z.object({
  name: optionalText(300),
  email: optionalText(320),
  // Whoever writes is found by these digits.
  phone: optionalText(64).refine((phone) => !phone || /^(?:\D*\d){5,15}\D*$/.test(phone), {
    error: "must be a phone number of 5 to 15 digits",
  }),
  avatar_url: optionalText(2048).refine((url) => !url || /^https?:\/\//i.test(url), {
    error: "must be an http or https URL",
  }),
}).refine((change) => Object.keys(change).length > 0, { error: "has nothing to change" });

/** `POST /people/:id/link`. */
export const linkRequest = z.object({ conversation_id: id });

/** `POST /people/merge`. */
export const mergeRequest = z.object({ keep_id: id, merge_id: id });

/** `POST /connections`. */
export const createConnectionRequest = z.object({
  workspace_id: id,
  platform: z.enum(["whatsapp", "signal", "telegram", "wechat"]),
  connection_id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, {
    error: "must be 1 to 128 letters, digits, dots, hyphens and underscores",
  }),
  name: name.optional(),
  phone_number_id: z.string().regex(/^[0-9]{1,32}$/, { error: "must be digits" }).optional(),
});

/** `PATCH /connections/:id`. */
export const updateConnectionRequest = z.object({
  name: name.optional(),
  is_active: z.boolean().optional(),
  phone_number_id: z.string().regex(/^[0-9]{1,32}$/, { error: "must be digits" }).nullable()
    .optional(),
}).refine((change) => Object.keys(change).length > 0, { error: "has nothing to change" });

/** `POST /connections/:id/rotate`. */
export const rotateRequest = z.object({
  grace_hours: z.number().min(0).max(720).default(24),
});

const credential = z.string().trim().min(8, { error: "is too short" }).max(500)
  .regex(/^[\x21-\x7e]+$/, { error: "must be printable ASCII" });

/** `PUT /connections/:id/kapso`. Null removes the key. */
export const kapsoRequest = z.object({
  api_key: credential.nullable().optional(),
  webhook_secret: credential.optional(),
}).refine((change) => Object.keys(change).length > 0, { error: "has nothing to change" });
