/**
 * Repairs what a bridge sends in a form of its own, where it has one meaning: docs/api/messaging-ingest.md, "Repairs".
 * What has none stays as it is, and the check refuses it.
 *
 * @module
 */
import { MAX_CONTENT_BYTES, mediaUrl } from "../_shared/contracts/message.ts";
import {
  cutToBytes,
  isAtMostBytes,
  isObject,
  unixMilliseconds,
} from "../_shared/contracts/text.ts";

/** A value that was repaired, and which of its fields. */
export interface Repaired {
  value: unknown;
  /** Names of the repaired fields. */
  fields: string[];
  /** What was given instead, for the metadata of the message. */
  metadata: Record<string, unknown>;
}

/** An object as it came. */
type Fields = Record<string, unknown>;

/** Names of other APIs for the types of messages. Those that have no type of their own here are texts. */
const TYPES: Readonly<Record<string, string>> = {
  voice: "audio",
  voice_note: "audio",
  ptt: "audio",
  sticker: "image",
  photo: "image",
  document: "file",
  gif: "video",
  video_note: "video",
  live_location: "location",
  contact: "text",
  contacts: "text",
  poll: "text",
};

const DIRECTIONS: Readonly<Record<string, string>> = {
  in: "inbound",
  incoming: "inbound",
  out: "outbound",
  outgoing: "outbound",
};

/** What ends a text that was cut. */
const CUT_MARK = "… [cut]";

/** Repairs a conversation, but for its messages and changes. */
export function repairConversation(value: unknown): Repaired {
  return repair(value, (fields, set) => {
    for (const name of ["external_conversation_id", "participant_identifier"]) {
      set(name, idOf(fields[name]));
    }
    const isHistory = fields.is_history;
    if (isHistory === "true" || isHistory === 1) set("is_history", true);
    if (isMissing(fields.messages) && Array.isArray(fields.changes)) set("messages", []);
  });
}

/** Repairs a message. */
export function repairMessage(value: unknown): Repaired {
  return repair(value, (fields, set, keep) => {
    for (const name of ["id", "reply_to", "sender_name"]) set(name, idOf(fields[name]));
    set("direction", knownName(fields.direction, DIRECTIONS));
    const { type: given, media_url: link } = fields;
    const type = knownName(given, TYPES);
    if (set("type", type) && type !== lowered(given)) keep("original_type", given);
    for (const name of ["sent_at", "status_at", "edited_at", "deleted_at"]) {
      set(name, timeOf(fields[name]));
    }
    repairContent(fields.content, set, keep);
    if (!mediaUrl.safeParse(link).success) {
      set("media_url", null);
      keep("original_media_url", asText(link));
    }
    set("reactions", repairReactions(fields.reactions));
  });
}

/** Repairs a change of a message. */
export function repairChange(value: unknown): Repaired {
  return repair(value, (fields, set) => {
    for (const name of ["message_id", "external_conversation_id"]) set(name, idOf(fields[name]));
    for (const name of ["status_at", "deleted_at"]) set(name, timeOf(fields[name]));
    set("reactions", repairReactions(fields.reactions));
    if (isObject(fields.edit)) {
      const { value: edit, fields: repaired } = repair(fields.edit, (given, setOfEdit) => {
        setOfEdit("edited_at", timeOf(given.edited_at));
        repairContent(given.content, setOfEdit, () => {});
      });
      if (repaired.length > 0) set("edit", edit);
    }
  });
}

/** Replaces a field, unless the new value is undefined or the same. True where it was replaced. */
type Set = (name: string, value: unknown) => boolean;

function repair(
  given: unknown,
  work: (fields: Fields, set: Set, keep: (name: string, value: unknown) => void) => void,
): Repaired {
  if (!isObject(given)) return { value: given, fields: [], metadata: {} };
  const value = { ...given };
  const fields = new Set<string>();
  const metadata: Fields = {};
  const set: Set = (name, better) => {
    if (better === undefined || better === value[name]) return false;
    value[name] = better;
    fields.add(name);
    return true;
  };
  // First, so that what follows sees texts that can be stored. The items of arrays are repaired on their own.
  for (const [name, field] of Object.entries(given)) {
    if (!Array.isArray(field)) set(name, storable(field, 0));
  }
  work(value, set, (name, original) => metadata[name] = original);
  return { value, fields: [...fields], metadata };
}

function repairContent(
  content: unknown,
  set: Set,
  keep: (name: string, value: unknown) => void,
): void {
  if (isMissing(content)) set("content", "");
  if (typeof content === "number") set("content", String(content));
  if (typeof content === "string" && !isAtMostBytes(content, MAX_CONTENT_BYTES)) {
    set("content", cutToBytes(content, MAX_CONTENT_BYTES, CUT_MARK));
    keep("original_length", content.length);
  }
}

/** Times and senders of reactions. */
function repairReactions(reactions: unknown): unknown {
  if (!Array.isArray(reactions)) return undefined;
  let isRepaired = false;
  const repaired = reactions.map((reaction) => {
    const { value, fields } = repair(reaction, (given, set) => {
      for (const name of ["sender", "id"]) set(name, idOf(given[name]));
      set("reacted_at", timeOf(given.reacted_at));
    });
    isRepaired ||= fields.length > 0;
    return value;
  });
  return isRepaired ? repaired : undefined;
}

/** A numeric id as text, where the number is exact. */
function idOf(value: unknown): string | undefined {
  return Number.isSafeInteger(value) ? String(value) : undefined;
}

function lowered(value: unknown): unknown {
  return typeof value === "string" ? value.trim().toLowerCase() : value;
}

function knownName(value: unknown, names: Readonly<Record<string, string>>): unknown {
  const name = lowered(value);
  return typeof name === "string" && Object.hasOwn(names, name) ? names[name] : name;
}

/**
 * Seconds, milliseconds or microseconds since 1970, as an ISO 8601 time. The ranges do not meet: as seconds, the limits
 * are the years 1973 and 5138.
 */
function timeOf(value: unknown): string | undefined {
  const isDigits = typeof value === "string" && /^\s*\d{9,16}(\.\d+)?\s*$/.test(value);
  if (typeof value !== "number" && !isDigits) return undefined;
  const number = Number(value);
  if (!(number >= 1e8 && number < 1e17)) return undefined;
  const micros = number >= 1e14 ? String(Math.floor(number) % 1000).padStart(3, "0") : "";
  return new Date(Math.floor(unixMilliseconds(number))).toISOString().replace(
    "Z",
    `${micros.replace(/0+$/, "")}Z`,
  );
}

/** Levels of a value that are looked into: as many as metadata may have. */
const MAX_DEPTH = 32;

/** The value with U+FFFD in place of what Postgres cannot store; the same value where there is nothing to replace. */
function storable(value: unknown, depth: number): unknown {
  if (typeof value === "string") return value.replaceAll("\0", "\uFFFD").toWellFormed();
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return value;
  const repaired = Object.entries(value).map(([name, field]) => {
    const better = storable(field, depth + 1);
    return [name, better, better !== field] as const;
  });
  if (!repaired.some(([, , isRepaired]) => isRepaired)) return value;
  const entries = repaired.map(([name, field]) => [name, field] as const);
  return Array.isArray(value) ? entries.map(([, field]) => field) : Object.fromEntries(entries);
}

function isMissing(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function asText(value: unknown): string {
  return (typeof value === "string" ? value : JSON.stringify(value) ?? "").slice(0, 2048);
}
