/**
 * Checks conversations, their messages and changes one by one: a fault is a value and not an error, so that everything
 * else is stored.
 *
 * @module
 */
import type * as z from "zod";
import {
  type IngestConversation,
  ingestConversation,
} from "../_shared/contracts/ingest_conversation.ts";
import { message, messageChange } from "../_shared/contracts/message.ts";
import {
  type NamedChange,
  namedChange,
  type RejectedItem,
} from "../_shared/contracts/messaging_ingest.ts";
import { isObject } from "../_shared/contracts/text.ts";
import { describeIssue } from "../_shared/http/validation.ts";
import { repairChange, repairConversation, type Repaired, repairMessage } from "./repair.ts";

/** How a request is read: what has one meaning is repaired, or every fault costs its conversation. */
export type IngestMode = "lenient" | "strict";

/** What to store of a conversation, or what is wrong with all of it; and what was rejected or repaired. */
export type CheckedConversation =
  & { externalId: string; rejected: RejectedItem[]; rejectedChanges: RejectedItem[] }
  & { repaired: Record<string, number> }
  & ({ conversation: IngestConversation } | { problem: string });

/** A change to apply, or what is wrong with it. */
export type CheckedChange =
  & { messageId: string }
  & ({ change: NamedChange } | { problem: string });

/** Checks one conversation. */
export function checkConversation(value: unknown, mode: IngestMode): CheckedConversation {
  return mode === "strict" ? checkStrictly(value) : checkLeniently(value);
}

/** Checks one change that names its message alone. */
export function checkChange(value: unknown, mode: IngestMode): CheckedChange {
  const given = mode === "strict" ? value : repairChange(value).value;
  const parsed = namedChange.safeParse(given);
  const messageId = idIn(given, "message_id");
  return parsed.success
    ? { messageId, change: parsed.data }
    : { messageId, problem: describeIssue(parsed.error, "change") };
}

function checkStrictly(value: unknown): CheckedConversation {
  const parsed = ingestConversation.safeParse(value);
  return {
    externalId: idIn(value, "external_conversation_id"),
    rejected: [],
    rejectedChanges: [],
    repaired: {},
    ...(parsed.success
      ? { conversation: parsed.data }
      : { problem: describeIssue(parsed.error, "conversation") }),
  };
}

function checkLeniently(value: unknown): CheckedConversation {
  const own = repairConversation(value);
  const externalId = idIn(own.value, "external_conversation_id");
  const repaired: Record<string, number> = {};
  count(repaired, own.fields);
  const given = isObject(own.value) ? own.value : {};
  const messages = checkEach(given.messages, repairMessage, message, "message", "id", repaired);
  const changes = checkEach(
    given.changes,
    repairChange,
    messageChange,
    "change",
    "message_id",
    repaired,
  );
  const rejected = messages?.rejected ?? [];
  const rejectedChanges = changes?.rejected ?? [];
  const found = { externalId, rejected, rejectedChanges, repaired };
  // The items are checked: what is left is the conversation itself.
  const parsed = ingestConversation.safeParse(
    isObject(own.value)
      ? {
        ...own.value,
        ...(messages === undefined ? {} : { messages: [] }),
        ...(changes === undefined ? {} : { changes: [] }),
      }
      : own.value,
  );
  if (!parsed.success || messages === undefined) {
    return { ...found, problem: describeIssue(parsed.error!, "conversation") };
  }
  if (rejected.length > 0 && messages.good.length === 0) {
    const { index, message } = rejected[0]!;
    const problem = message.startsWith("message ") ? message.slice(7) : `.${message}`;
    return { ...found, problem: `messages[${index}]${problem}` };
  }
  return {
    ...found,
    conversation: {
      ...parsed.data,
      messages: messages.good,
      ...(changes === undefined ? {} : { changes: changes.good }),
    },
  };
}

/** Checks each item of a list; undefined where there is no list. */
function checkEach<Schema extends z.ZodObject>(
  list: unknown,
  repair: (item: unknown) => Repaired,
  schema: Schema,
  whole: string,
  idField: string,
  repaired: Record<string, number>,
): { good: z.output<Schema>[]; rejected: RejectedItem[] } | undefined {
  if (!Array.isArray(list)) return undefined;
  const good: z.output<Schema>[] = [];
  const rejected: RejectedItem[] = [];
  for (const [index, item] of list.entries()) {
    const { value, fields, metadata } = repair(item);
    const parsed = schema.safeParse(value);
    if (parsed.success) {
      count(repaired, fields);
      good.push(withMetadata(parsed.data, metadata));
    } else {
      rejected.push({
        index,
        id: idIn(value, idField),
        code: `invalid_${whole}`,
        message: describeIssue(parsed.error, whole),
      });
    }
  }
  return { good, rejected };
}

function withMetadata<Item extends object>(item: Item, metadata: Record<string, unknown>): Item {
  if (Object.keys(metadata).length === 0) return item;
  return { ...item, metadata: { ...(item as { metadata?: object }).metadata, ...metadata } };
}

function count(repaired: Record<string, number>, fields: string[]): void {
  for (const field of fields) repaired[field] = (repaired[field] ?? 0) + 1;
}

function idIn(value: unknown, field: string): string {
  const id = isObject(value) ? value[field] : undefined;
  return typeof id === "string" ? id.slice(0, 512) : "";
}
