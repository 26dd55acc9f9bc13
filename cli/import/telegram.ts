/**
 * Reads the `result.json` that Telegram Desktop exports: one chat, or a whole account.
 *
 * Reads the file as a stream, twice: a survey finds the chats, their senders and the exporting account (in a
 * file that a tool has rewritten these may follow the messages), then the messages are converted one by one.
 * Memory does not grow with the file. No I/O: the caller passes the bytes.
 *
 * The shape is documented by the program that writes it, `export_output_json.cpp` of Telegram Desktop.
 *
 * @module
 */

import { JSONParser } from "@streamparser/json";

import { CommandError, usageError } from "../command_error.ts";
import { type ImportConversation, type ImportItem, type ImportMessage } from "./import_item.ts";

/** One chat of an export, as the survey found it. */
export interface TelegramChat {
  /** `user123`, `chat123` or `channel123`: Telegram numbers the three kinds separately. */
  key: string;
  /** As in the file: `personal_chat`, `private_supergroup`, `saved_messages`, … */
  type: string;
  /** The bare number, as the export shows it. */
  id: string;
  name: string;
  /** Everything in the chat's list, service messages included. */
  messageCount: number;
  /** Senders: `from_id` to name. */
  senders: Map<string, string>;
}

/** What the first pass finds. */
export interface TelegramSurvey {
  /** `user<id>` of the exporting account; only a full export names it. */
  ownId?: string;
  /** Phone numbers of contacts by `user<id>`; only a full export has them. */
  phones: Map<string, string>;
  /** By place in the file, for example `chats/0`. */
  chats: Map<string, TelegramChat>;
}

/** Options of {@linkcode readTelegram}. */
export interface ReadTelegramOptions {
  /** You, in chats where the export does not say it: a name or a `from_id`. */
  me?: string;
  /** Only chats with one of these names or ids. */
  chats?: readonly string[];
  /** For exports from before 2021, which have only local times. */
  timeZone: string;
}

/** Direct chats: the other party's user id is the chat's id. */
const DIRECT_CHATS = new Set(["personal_chat", "bot_chat"]);

/** No whole lists: the parser keeps in memory what it emits. */
const PATHS = [
  "$.name",
  "$.type",
  "$.id",
  "$.messages.*",
  "$.personal_information",
  "$.contacts.list.*",
  ...["chats", "left_chats"].flatMap((list) =>
    ["name", "type", "id", "messages.*"].map((key) => `$.${list}.list.*.${key}`)
  ),
];

type Json = Record<string, unknown>;

type TelegramEvent =
  | { kind: "personal"; value: Json }
  | { kind: "contact"; value: Json }
  | { kind: "field"; place: string; field: string; value: unknown }
  | { kind: "message"; place: string; value: Json };

/**
 * Reads the whole file once for the facts that {@linkcode readTelegram} needs before the first message.
 *
 * @param bytes The file.
 * @returns The chats, their senders, and the account if the export names it.
 * @throws {CommandError} When the file is not a complete Telegram export.
 */
export async function surveyTelegram(bytes: AsyncIterable<Uint8Array>): Promise<TelegramSurvey> {
  const survey: TelegramSurvey = { phones: new Map(), chats: new Map() };
  const chatAt = (place: string): TelegramChat => {
    let chat = survey.chats.get(place);
    if (!chat) {
      chat = { key: "", type: "", id: "", name: "", messageCount: 0, senders: new Map() };
      survey.chats.set(place, chat);
    }
    return chat;
  };
  for await (const event of readEvents(bytes)) {
    if (event.kind === "personal") {
      const id = idText(event.value.user_id);
      if (id) survey.ownId = `user${id}`;
    } else if (event.kind === "contact") {
      const id = idText(event.value.user_id);
      const phone = phoneText(event.value.phone_number);
      if (id && phone) survey.phones.set(`user${id}`, phone);
    } else if (event.kind === "field") {
      // A full export has no name or type; a chat exists once it has messages or an id.
      const chat = chatAt(event.place);
      if (event.field === "name") chat.name = text(event.value) ?? "";
      else if (event.field === "type") chat.type = text(event.value) ?? "";
      else if (event.field === "id") chat.id = idText(event.value) ?? "";
    } else {
      const chat = chatAt(event.place);
      chat.messageCount++;
      const fromId = text(event.value.from_id);
      if (fromId && !chat.senders.get(fromId)) {
        chat.senders.set(fromId, text(event.value.from) ?? "");
      }
    }
  }
  for (const [place, chat] of survey.chats) {
    if (chat.id === "") survey.chats.delete(place);
    else chat.key = `${keyPrefix(chat.type)}${chat.id}`;
  }
  if (survey.chats.size === 0) {
    throw new CommandError(
      "This JSON file has no Telegram chat. In Telegram Desktop choose “Export chat history” and the format “Machine-readable JSON”, then import its result.json.",
    );
  }
  return survey;
}

/**
 * Chooses the chats to import and checks that the direction of their messages is known.
 *
 * @param survey What {@linkcode surveyTelegram} found.
 * @param options Whose account it is and which chats to take.
 * @returns The chosen chats by place.
 * @throws {CommandError} When no chat matches, or when it is unknown which sender is you.
 */
export function chooseTelegramChats(
  survey: TelegramSurvey,
  options: Pick<ReadTelegramOptions, "me" | "chats">,
): Map<string, TelegramChat> {
  const chosen = new Map(survey.chats);
  if (options.chats?.length) {
    for (const wanted of options.chats) {
      if (![...survey.chats.values()].some((chat) => isChat(chat, wanted))) {
        throw usageError(
          `No chat is called ${quote(wanted)}. The file has: ${
            list([...survey.chats.values()].map((chat) => `${chat.name || chat.type} (${chat.id})`))
          }.`,
        );
      }
    }
    for (const [place, chat] of chosen) {
      if (!options.chats.some((wanted) => isChat(chat, wanted))) chosen.delete(place);
    }
  }
  const { me } = options;
  if (me !== undefined) {
    const ids = new Set(
      [...survey.chats.values()].flatMap((chat) =>
        [...chat.senders].filter(([id, name]) => isSender(id, name, me)).map(([id]) => id)
      ),
    );
    if (ids.size === 0) {
      throw usageError(
        `No sender in this export is called ${quote(me)}. Give --me one of: ${
          list(senderNames(chosen))
        }.`,
      );
    }
    if (ids.size > 1) {
      throw usageError(
        `Several senders are called ${quote(me)}. Give --me your id instead, one of: ${
          list([...ids])
        }.`,
      );
    }
  } else if (survey.ownId === undefined) {
    const unclear = [...chosen.values()].filter((chat) =>
      !DIRECT_CHATS.has(chat.type) && chat.type !== "saved_messages" && chat.senders.size > 0
    );
    if (unclear.length > 0) {
      throw usageError(
        `This export does not say which sender is you. Give --me one of: ${
          list(senderNames(new Map(unclear.map((chat) => [chat.key, chat]))))
        }.`,
      );
    }
  }
  return chosen;
}

/**
 * Converts the messages of an export, in the order of the file (which is the order of time).
 *
 * @param bytes The file, again from its beginning.
 * @param survey What {@linkcode surveyTelegram} found in it.
 * @param options See {@linkcode ReadTelegramOptions}.
 * @returns Messages, and a reason for each other entry of the chosen chats.
 * @throws {CommandError} As {@linkcode surveyTelegram} and {@linkcode chooseTelegramChats} do.
 */
export async function* readTelegram(
  bytes: AsyncIterable<Uint8Array>,
  survey: TelegramSurvey,
  options: ReadTelegramOptions,
): AsyncGenerator<ImportItem> {
  const chats = chooseTelegramChats(survey, options);
  const conversations = new Map<string, ImportConversation>();
  for (const [place, chat] of chats) conversations.set(place, toConversation(chat, survey));
  for await (const event of readEvents(bytes)) {
    if (event.kind !== "message") continue;
    const chat = chats.get(event.place);
    const conversation = conversations.get(event.place);
    if (!chat || !conversation) continue;
    const message = toMessage(event.value, chat, survey, options);
    yield typeof message === "string"
      ? { kind: "skipped", reason: message }
      : { kind: "message", conversation, message };
  }
}

/** Streams the parts of the file that are used; the rest is parsed and dropped. */
async function* readEvents(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<TelegramEvent> {
  const parser = new JSONParser({ paths: PATHS, keepStack: false });
  let events: TelegramEvent[] = [];
  let failure: Error | undefined;
  parser.onError = (error) => {
    failure ??= error;
  };
  parser.onValue = ({ value, key, stack }) => {
    const first = stack[1]?.key;
    if (key === "personal_information" && stack.length === 1) {
      if (isObject(value)) events.push({ kind: "personal", value });
    } else if (first === "contacts") {
      if (isObject(value)) events.push({ kind: "contact", value });
    } else {
      const isMessage = typeof key === "number";
      const place = first === "chats" || first === "left_chats"
        ? `${first}/${stack[3]?.key}`
        : "chat";
      if (!isMessage) events.push({ kind: "field", place, field: String(key), value });
      else if (isObject(value)) events.push({ kind: "message", place, value });
    }
  };
  const mendEscapes = createEscapeMender();
  for await (const chunk of bytes) {
    try {
      parser.write(mendEscapes(chunk));
    } catch (error) {
      failure ??= error as Error;
    }
    if (failure) {
      throw new CommandError(
        "The file is not valid JSON. If the export is still running, wait until Telegram Desktop says it is done.",
        // The parser's message quotes the text around the error, so it is not kept as the cause.
      );
    }
    yield* events;
    events = [];
  }
  if (!parser.isEnded) {
    throw new CommandError(
      "The file is incomplete. Wait until Telegram Desktop says the export is done, or export again.",
    );
  }
}

/**
 * Telegram Desktop writes control characters as `\x0B`, which JSON does not have (`SerializeString` in
 * export_output_json.cpp); this turns them into `\u000B`. A backslash occurs only inside strings, so counting
 * escapes is enough; strings need not be parsed.
 */
function createEscapeMender(): (chunk: Uint8Array) => Uint8Array {
  const backslash = 0x5c;
  let isEscaped = false;
  return (chunk) => {
    const insertions: number[] = [];
    for (let at = isEscaped ? 0 : chunk.indexOf(backslash); at !== -1 && at < chunk.length;) {
      if (!isEscaped) at++;
      if (at === chunk.length) {
        isEscaped = true;
        break;
      }
      isEscaped = false;
      if (chunk[at] === 0x78) insertions.push(at);
      at = chunk.indexOf(backslash, at + 1);
    }
    if (insertions.length === 0) return chunk;
    const repaired = new Uint8Array(chunk.length + insertions.length * 2);
    let from = 0;
    let to = 0;
    for (const at of insertions) {
      repaired.set(chunk.subarray(from, at), to);
      to += at - from;
      repaired.set([0x75, 0x30, 0x30], to); // u00
      to += 3;
      from = at + 1;
    }
    repaired.set(chunk.subarray(from), to);
    return repaired;
  };
}

function toConversation(chat: TelegramChat, survey: TelegramSurvey): ImportConversation {
  const conversation: ImportConversation = {
    externalId: chat.key,
    participantIdentifier: survey.phones.get(chat.key) ?? chat.key,
  };
  const name = chat.name || (chat.type === "saved_messages" ? "Saved messages" : "");
  if (name) conversation.participantName = name.slice(0, 200);
  return conversation;
}

/** Returns the message, or the reason why it is skipped. */
function toMessage(
  value: Json,
  chat: TelegramChat,
  survey: TelegramSurvey,
  options: ReadTelegramOptions,
): ImportMessage | string {
  if (value.type === "service") return "service message";
  if (value.type === "unsupported") return "message of a kind Telegram Desktop could not export";
  const id = idText(value.id);
  if (!id) return "message without an id";
  const sentAt = toInstant(value, options.timeZone);
  if (!sentAt) return "message without a date";
  const media = readMedia(value);
  const caption = plainText(value.text);
  const content = [media?.content, caption].filter(Boolean).join("\n") ||
    (media?.fallback ?? "");
  const type = media?.type ?? "text";
  if (type === "text" && content === "") return "empty message";

  const fromId = text(value.from_id);
  const fromName = text(value.from);
  const message: ImportMessage = {
    id: `${chat.key}:${id}`,
    direction: isOutbound(fromId, fromName, chat, survey, options) ? "outbound" : "inbound",
    type,
    content,
    sentAt,
    metadata: {
      source: "telegram_export",
      ...compact({
        from_id: fromId,
        forwarded_from: text(value.forwarded_from),
        via_bot: text(value.via_bot),
        author: text(value.author),
        edited_at: value.edited_unixtime === undefined
          ? undefined
          : fromUnixTime(value.edited_unixtime),
        links: linkTargets(value.text),
      }),
      ...media?.metadata,
    },
  };
  if (!DIRECT_CHATS.has(chat.type) && chat.type !== "saved_messages") {
    message.senderName = fromName ?? (fromId ? "Deleted account" : chat.name);
  }
  const replyTo = idText(value.reply_to_message_id);
  // `reply_to_peer_id` is set when the original message is in another chat.
  if (replyTo && value.reply_to_peer_id === undefined) message.replyTo = `${chat.key}:${replyTo}`;
  return message;
}

function isOutbound(
  fromId: string | undefined,
  fromName: string | undefined,
  chat: TelegramChat,
  survey: TelegramSurvey,
  options: ReadTelegramOptions,
): boolean {
  if (DIRECT_CHATS.has(chat.type)) return fromId !== `user${chat.id}`;
  if (chat.type === "saved_messages") return fromId === undefined || fromId === `user${chat.id}`;
  if (fromId === undefined) return false;
  if (survey.ownId !== undefined && fromId === survey.ownId) return true;
  return options.me !== undefined && isSender(fromId, fromName ?? "", options.me);
}

interface Media {
  type: ImportMessage["type"];
  /** Precedes the caption. */
  content?: string;
  /** Replaces a missing caption. */
  fallback?: string;
  metadata: Json;
}

const MEDIA_TYPES = new Map<string | undefined, ImportMessage["type"]>([
  ["voice_message", "audio"],
  ["audio_file", "audio"],
  ["video_message", "video"],
  ["video_file", "video"],
  ["animation", "video"],
  ["sticker", "image"],
]);

function readMedia(value: Json): Media | undefined {
  if (isObject(value.location_information)) {
    const { latitude, longitude } = value.location_information;
    return {
      type: "location",
      content: `${latitude},${longitude}`,
      metadata: compact({
        latitude,
        longitude,
        place_name: text(value.place_name),
        address: text(value.address),
        live_location_period_seconds: value.live_location_period_seconds,
      }),
    };
  }
  if (isObject(value.contact_information)) {
    const contact = value.contact_information;
    const name = [text(contact.first_name), text(contact.last_name)].filter(Boolean).join(" ");
    return {
      type: "text",
      content: `Contact: ${[name, text(contact.phone_number)].filter(Boolean).join(", ")}`,
      metadata: { telegram_kind: "contact" },
    };
  }
  if (isObject(value.poll)) {
    const answers = Array.isArray(value.poll.answers) ? value.poll.answers : [];
    return {
      type: "text",
      content: [
        `Poll: ${plainText(value.poll.question)}`,
        ...answers.filter(isObject).map((answer) => `- ${plainText(answer.text)}`),
      ].join("\n"),
      metadata: { telegram_kind: "poll" },
    };
  }
  if (isObject(value.invoice_information)) {
    const { title, amount, currency } = value.invoice_information;
    return {
      type: "text",
      content: `Invoice: ${text(title) ?? ""}`.trim(),
      metadata: compact({ telegram_kind: "invoice", amount, currency }),
    };
  }
  if (text(value.game_title)) {
    return {
      type: "text",
      content: `Game: ${text(value.game_title)}`,
      metadata: { telegram_kind: "game" },
    };
  }
  const isPhoto = value.photo !== undefined;
  const path = text(isPhoto ? value.photo : value.file);
  if (path === undefined) return undefined;

  // If the file was left out, there is a sentence in parentheses instead of a path.
  const isIncluded = !/\([^()]*\)$/.test(path) || /\.\w{1,5}$/.test(path);
  const fileName = text(value.file_name) ??
    (isIncluded ? path.slice(path.lastIndexOf("/") + 1) : undefined);
  const mimeType = text(value.mime_type);
  const mediaType = text(value.media_type);
  const type = isPhoto ? "image" : MEDIA_TYPES.get(mediaType) ?? typeOfMime(mimeType) ?? "file";
  const fallback = text(value.sticker_emoji) ?? fileName;
  return {
    type,
    ...(fallback === undefined ? {} : { fallback }),
    metadata: compact({
      file_name: fileName,
      file_in_export: isIncluded ? path : undefined,
      mime_type: mimeType,
      media_type: mediaType,
      file_size: value.file_size ?? value.photo_file_size,
      duration_seconds: value.duration_seconds,
      width: value.width,
      height: value.height,
      sticker_emoji: text(value.sticker_emoji),
      performer: text(value.performer),
      title: text(value.title),
    }),
  };
}

function typeOfMime(mimeType: string | undefined): ImportMessage["type"] | undefined {
  const kind = mimeType?.split("/")[0];
  return kind === "image" || kind === "video" || kind === "audio" ? kind : undefined;
}

/** Telegram gives `text` as a string, or as a list of strings and formatted parts. */
function plainText(value: unknown): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return "";
  return value.map((part) => isObject(part) ? text(part.text) ?? "" : text(part) ?? "").join("");
}

/** Addresses behind link texts, which the plain text would lose. */
function linkTargets(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const targets = value.filter(isObject).flatMap((part) => text(part.href) ?? []);
  return targets.length > 0 ? targets : undefined;
}

function toInstant(value: Json, timeZone: string): string | undefined {
  const exact = fromUnixTime(value.date_unixtime);
  if (exact) return exact;
  const date = text(value.date);
  if (!date) return undefined;
  try {
    const { epochMilliseconds } = Temporal.PlainDateTime.from(date).toZonedDateTime(timeZone);
    return new Date(epochMilliseconds).toISOString();
  } catch {
    return undefined;
  }
}

function fromUnixTime(value: unknown): string | undefined {
  const seconds = Number(idText(value));
  if (!Number.isFinite(seconds) || seconds <= 0 || seconds > 253_402_300_799) return undefined;
  return new Date(seconds * 1000).toISOString();
}

function keyPrefix(type: string): string {
  if (type.endsWith("_supergroup") || type.endsWith("_channel")) return "channel";
  return type === "private_group" ? "chat" : "user";
}

function isChat(chat: TelegramChat, wanted: string): boolean {
  return chat.id === wanted || chat.key === wanted ||
    (chat.name !== "" && sameName(chat.name, wanted));
}

function isSender(id: string, name: string, wanted: string): boolean {
  return id === wanted || id === `user${wanted}` || (name !== "" && sameName(name, wanted));
}

function sameName(one: string, other: string): boolean {
  return one.trim().toLowerCase() === other.trim().toLowerCase();
}

function senderNames(chats: Map<string, TelegramChat>): string[] {
  const names = new Set<string>();
  for (const chat of chats.values()) for (const [id, name] of chat.senders) names.add(name || id);
  return [...names];
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 20).map(quote).join(", ");
  return names.length > 20 ? `${shown} and ${names.length - 20} more` : shown;
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function idText(value: unknown): string | undefined {
  return typeof value === "number" ? String(value) : text(value);
}

function phoneText(value: unknown): string | undefined {
  const digits = text(value)?.replace(/\D/g, "").replace(/^00/, "");
  return digits && digits.length >= 7 && digits.length <= 15 ? `+${digits}` : undefined;
}

function compact(values: Json): Json {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
