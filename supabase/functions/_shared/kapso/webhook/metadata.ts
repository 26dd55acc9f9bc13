/**
 * What `metadata` keeps of Kapso's original message, within its size limit.
 *
 * @module
 */
import { MAX_METADATA_BYTES } from "../../contracts/message.ts";
import { utf8Length } from "../../contracts/text.ts";
import { isObject } from "../../contracts/text.ts";
import { MEDIA_TYPES, textOf } from "./content.ts";
import { type WireMessage, wireMessage } from "./wire.ts";

/** What metadata contains besides the message itself. */
export interface MetadataOptions {
  kapsoType: string;
  /** Whether the message has no time of its own, and counts as sent when it arrived. */
  hasArrivalTime: boolean;
  /** Id of Kapso's conversation: one session of this conversation. */
  conversationId: string | undefined;
  /** The author, in a group. */
  sender: string | undefined;
  username: string | undefined;
}

/** How much of the original to keep, tried in this order until it fits. */
const LIMITS = [
  { length: MAX_METADATA_BYTES, items: 1000, depth: 8 },
  { length: 4000, items: 200, depth: 8 },
  { length: 1000, items: 50, depth: 6 },
  { length: 200, items: 20, depth: 4 },
] as const;

/** Fields that hold the message's own content, which is kept verbatim as `content`. */
const CONTENT_FIELDS: Readonly<Record<string, string>> = {
  text: "body",
  image: "caption",
  video: "caption",
  document: "caption",
};

// Such a link opens the file without a key, and lookaside links expire within minutes. media_url has the one
// to use.
const MEDIA_LINK = /^https?:\/\/(?:[^/?#]*\.)?(?:kapso\.ai|fbsbx\.com|whatsapp\.net)(?:[:/?#]|$)/i;

/** The metadata of a message. */
export function makeMetadata(
  message: WireMessage,
  options: MetadataOptions,
): Record<string, unknown> {
  const { kapso, context } = message;
  const media = MEDIA_TYPES.has(options.kapsoType) ? message[options.kapsoType] : undefined;
  const file = isObject(media) ? media : {};
  const flat = {
    kapso_type: options.kapsoType.slice(0, 64),
    sent_at_is_arrival: options.hasArrivalTime || undefined,
    origin: kapso?.origin,
    conversation_id: options.conversationId,
    sender: options.sender,
    username: options.username,
    transcript: kapso?.transcript,
    file_name: textOf(file.filename) ?? kapso?.media_data?.filename,
    mime_type: textOf(file.mime_type) ?? kapso?.media_data?.content_type,
    file_size: kapso?.media_data?.byte_size,
    forwarded: context?.forwarded === true || undefined,
    frequently_forwarded: context?.frequently_forwarded === true || undefined,
    flow_name: kapso?.flow_name,
    // Names the outbox row of a message whose response was lost.
    biz_opaque_callback_data: message.biz_opaque_callback_data ??
      kapso?.statuses?.find((status) => status.biz_opaque_callback_data !== undefined)
        ?.biz_opaque_callback_data,
  };
  const nested = {
    ...typeObject(message, options.kapsoType, flat),
    referred_product: context?.referred_product,
    referral: message.referral,
    errors: message.errors,
  };
  for (const limits of LIMITS) {
    const metadata = cut({ ...flat, ...nested }, limits);
    if (fits(metadata)) return metadata;
  }
  return cut(flat, LIMITS[LIMITS.length - 1]!);
}

function fits(metadata: Record<string, unknown>): boolean {
  return utf8Length(JSON.stringify(metadata)) <= MAX_METADATA_BYTES;
}

/** The object of the type under its name, without links of media and without the content itself. */
function typeObject(
  message: WireMessage,
  kapsoType: string,
  taken: Record<string, unknown>,
): Record<string, unknown> {
  const value = message[kapsoType];
  // An unknown type may have the name of a field that every message has.
  const isNameFree = /^[a-z][a-z0-9_]{0,39}$/.test(kapsoType) &&
    !Object.hasOwn(taken, kapsoType) && !Object.hasOwn(wireMessage.shape, kapsoType);
  if (!isNameFree) return {};
  if (!isObject(value) && !Array.isArray(value)) return {};
  if (!isObject(value)) return { [kapsoType]: value };
  const left = Object.fromEntries(
    Object.entries(value).filter(([name]) =>
      name !== CONTENT_FIELDS[kapsoType] &&
      !(MEDIA_TYPES.has(kapsoType) && (name === "url" || name === "link"))
    ),
  );
  return Object.keys(left).length > 0 ? { [kapsoType]: left } : {};
}

/** A copy that Postgres can store, within limits; marked where something was cut. */
function cut(
  value: Record<string, unknown>,
  limits: { length: number; items: number; depth: number },
): Record<string, unknown> {
  let isTruncated = false;
  const copy = (value: unknown, depth: number): unknown => {
    if (typeof value === "string") {
      const clean = value.replaceAll("\0", "").toWellFormed();
      if (clean.length <= limits.length) return clean;
      isTruncated = true;
      return clean.slice(0, limits.length).toWellFormed();
    }
    if (typeof value === "number") return Number.isFinite(value) ? value : null;
    if (typeof value !== "object" || value === null) return value;
    if (depth >= limits.depth) {
      isTruncated = true;
      return undefined;
    }
    const size = Array.isArray(value) ? value.length : Object.keys(value).length;
    if (size > limits.items) isTruncated = true;
    if (Array.isArray(value)) {
      return value.slice(0, limits.items).map((item) => copy(item, depth + 1) ?? null);
    }
    return Object.fromEntries(
      Object.entries(value).slice(0, limits.items)
        .filter(([name, item]) =>
          name !== "__proto__" && name.length <= 200 &&
          !(typeof item === "string" && MEDIA_LINK.test(item))
        )
        .map(([name, item]) => [
          name.replaceAll("\0", "").toWellFormed(),
          copy(item, depth + 1),
        ])
        .filter(([, item]) => item !== undefined),
    );
  };
  const result = copy(value, 0) as Record<string, unknown>;
  return isTruncated ? { ...result, is_truncated: true } : result;
}
