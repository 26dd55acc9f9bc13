/**
 * Turns a WhatsApp “Export chat” into messages.
 *
 * An export has no ids, no time zone and does not say who you are. So ids are derived from what is the same in
 * every later export of the chat (see {@linkcode readWhatsApp}), the zone comes from an option, and your name
 * comes from an option or the name of the file. Pure functions, no I/O.
 *
 * @module
 */

import { parsePhoneNumberFromString } from "libphonenumber-js";

import { CommandError, usageError } from "../command_error.ts";
import { type ImportConversation, type ImportItem, type ImportMessage } from "./import_item.ts";
import { type ChatEntry, type DateOrder, readChatEntries, stripMarks } from "./whatsapp_lines.ts";
import { readChatMedia } from "./whatsapp_media.ts";

/** A file that came in the same zip as the chat. */
export interface ChatAttachment {
  size: number;
  /** Hexadecimal. */
  sha256?: string;
}

/** Options of {@linkcode prepareWhatsApp}. */
export interface WhatsAppOptions {
  /** Name of the file, for example `WhatsApp Chat with Sari.txt`: it names the chat. */
  fileName: string;
  /** Your name as the export shows it. */
  me?: string;
  /** The other party's phone number or username. */
  participant?: string;
  /** The chat's name, if the file name does not say it. */
  chatName?: string;
  /** IANA name of the zone of the exporting phone. */
  timeZone: string;
  dateOrder?: DateOrder;
  attachments?: ReadonlyMap<string, ChatAttachment>;
}

/** A chat that can be converted. */
export interface PreparedChat {
  conversation: ImportConversation;
  isGroup: boolean;
  /** Absent when you wrote nothing. */
  me?: string;
  dateOrder: DateOrder;
  /** Entries with a sender. */
  messageCount: number;
  entries: readonly ChatEntry[];
  options: WhatsAppOptions;
}

/** What WhatsApp calls the file, in several languages; the name of the chat follows. */
const FILE_NAME =
  /^(?:WhatsApp[ -]chat (?:with|mit|met|-)|Chat de WhatsApp con|Chat WhatsApp (?:con|dengan)|Conversa do WhatsApp com|Discussion WhatsApp avec) (?<name>.+)$/iu;

/** The first notice of a chat, in several languages. iPhones give it a sender. */
const ENCRYPTION_NOTICE =
  /(?:end-to-end|extremo a extremo|ponta a ponta|bout en bout|ende-zu-ende)[\p{L} -]*(?:encrypt|enkripsi|cifrad|criptografad|encriptad|chiffr|verschlüssel|crittograf|versleuteld)|(?:encrypt|enkripsi|cifrad|criptografad|encriptad|chiffr|verschlüssel|crittograf|versleuteld)[\p{L} -]*(?:end-to-end|extremo a extremo|ponta a ponta|bout en bout|ende-zu-ende)/iu;

/** Notices to which iPhones give a sender, after a direction mark. They have one line; a poll or a caption may have more. */
const SIGNED_NOTICE =
  /^\u200e[^\n:]*(?:created (?:this )?group|added|joined using|left$|removed|changed (?:this|the) group|changed the subject|security code|disappearing messages|business account|secure service|blocked this|membuat grup|menambahkan|keluar$|creó|añadió|salió|criou|adicionou|saiu|hat [^\n]*(?:erstellt|hinzugefügt)|hat die Gruppe verlassen)[^\n]*$/iu;

const GROUP_WORD = /\b(?:group|grup|grupo|gruppe|groupe|gruppo|groep)\b/iu;

const EDITED =
  /\u200e?<(?:this message was edited|pesan ini diedit|se editó este mensaje|mensagem editada|ce message a été modifié|diese nachricht wurde bearbeitet|questo messaggio è stato modificato|dit bericht is bewerkt)>\s*$/iu;

/**
 * Collects the facts about a chat that are needed before its first message is sent.
 *
 * @param chat The text of the chat file.
 * @param options See {@linkcode WhatsAppOptions}.
 * @returns The chat, for {@linkcode readWhatsApp}.
 * @throws {CommandError} When the file is no export, or reading it needs an option.
 */
export async function prepareWhatsApp(
  chat: string,
  options: WhatsAppOptions,
): Promise<PreparedChat> {
  const { entries, dateOrder, isBracketed } = readChatEntries(chat, options.dateOrder);
  if (isBracketed) unsignNotices(entries, options);

  const senders = [...new Set(entries.flatMap((entry) => entry.sender ?? []))];
  if (senders.length === 0) {
    throw new CommandError("The chat has no messages, only notices of WhatsApp itself.");
  }
  const title = options.chatName ?? titleOf(options.fileName, senders);
  const titleSender = title === undefined
    ? undefined
    : senders.find((sender) => sameName(sender, title));
  const hasGroupNotice = entries.some((entry) =>
    entry.sender === undefined && GROUP_WORD.test(entry.text)
  );
  const me = findMe(senders, titleSender, title, hasGroupNotice, options);
  const others = senders.filter((sender) => sender !== me);
  const isGroup = others.length > 1 ||
    (hasGroupNotice && title !== undefined && titleSender === undefined);
  const conversation = isGroup
    ? await groupConversation(title, options)
    : directConversation(others[0] ?? title, options);
  return {
    conversation,
    isGroup,
    ...(me === undefined ? {} : { me }),
    dateOrder,
    messageCount: entries.filter((entry) => entry.sender !== undefined).length,
    entries,
    options,
  };
}

/**
 * Converts a chat's entries, in the order of time.
 *
 * A message's id is a hash of its minute on the phone's clock, its sender, its text, and the number of messages
 * before it with the same three. The id is the same for any language and date order of the export, with seconds
 * (iPhone) or without (Android), with media or without, and on any machine:
 * - the clock is hashed before the time zone is applied, so that a corrected `--time-zone` doubles nothing;
 * - in a chat of two, the direction is hashed instead of the name, which changes when you save a contact;
 * - of an attachment only the caption is hashed, because an export without media does not name the file.
 *
 * A message that was edited or deleted between two exports is another message.
 *
 * @param chat What {@linkcode prepareWhatsApp} returned.
 * @returns Messages, and a reason for each other entry.
 */
export async function* readWhatsApp(chat: PreparedChat): AsyncGenerator<ImportItem> {
  const { conversation, isGroup, me, options } = chat;
  const occurrences = new Map<string, number>();
  const attachments = options.attachments ?? new Map<string, ChatAttachment>();
  const messages: ImportMessage[] = [];
  for (const entry of chat.entries) {
    if (entry.sender === undefined) {
      yield { kind: "skipped", reason: "notice of WhatsApp itself" };
      continue;
    }
    const isEdited = EDITED.test(entry.text);
    const text = isEdited ? entry.text.replace(EDITED, "") : entry.text;
    const media = readChatMedia(text, attachments);
    const words = media ? media.caption : stripMarks(text).trim();
    if (!media && words === "") {
      yield { kind: "skipped", reason: "empty message" };
      continue;
    }
    const direction = entry.sender === me ? "outbound" : "inbound";
    const isPlace = media?.type === "location";
    const identity = JSON.stringify([
      entry.localTime.slice(0, 16),
      isGroup ? entry.sender : direction,
      isPlace ? "location" : media ? "media" : "text",
      isPlace ? `${media.latitude},${media.longitude}` : words.normalize("NFC"),
    ]);
    const occurrence = (occurrences.get(identity) ?? 0) + 1;
    occurrences.set(identity, occurrence);
    messages.push({
      id: `export-${(await sha256(`${identity}#${occurrence}`)).slice(0, 40)}`,
      direction,
      type: media?.type ?? "text",
      content: isPlace ? `${media.latitude},${media.longitude}` : words || (media?.fileName ?? ""),
      sentAt: toInstant(entry.localTime, options.timeZone),
      ...(isGroup ? { senderName: entry.sender } : {}),
      metadata: {
        source: "whatsapp_export",
        ...(isEdited ? { is_edited: true } : {}),
        ...(media ? mediaMetadata(media, attachments) : {}),
      },
    });
  }
  // Messages that reached the phone late are where they arrived. The sort is stable.
  messages.sort((one, other) => one.sentAt < other.sentAt ? -1 : one.sentAt > other.sentAt ? 1 : 0);
  for (const message of messages) yield { kind: "message", conversation, message };
}

/** Names of attached files that the chat mentions. */
export function mentionedFiles(chat: PreparedChat): Set<string> {
  const names = chat.options.attachments ?? new Map<string, ChatAttachment>();
  return new Set(
    chat.entries.flatMap((entry) =>
      entry.sender === undefined ? [] : readChatMedia(entry.text, names)?.fileName ?? []
    ),
  );
}

function mediaMetadata(
  media: NonNullable<ReturnType<typeof readChatMedia>>,
  attachments: ReadonlyMap<string, ChatAttachment>,
): Record<string, unknown> {
  if (media.type === "location") {
    const { latitude, longitude, url, caption } = media;
    return { latitude, longitude, url, ...(caption ? { place_name: caption } : {}) };
  }
  if (media.fileName === undefined) return { is_media_omitted: true };
  const file = attachments.get(media.fileName);
  return {
    file_name: media.fileName,
    ...(file ? { file_size: file.size } : {}),
    ...(file?.sha256 ? { sha256: file.sha256 } : {}),
  };
}

/**
 * Removes the sender that iPhones give to notices (the contact, or in a group the group), so that a group does
 * not look like a sender of messages.
 */
function unsignNotices(entries: ChatEntry[], options: WhatsAppOptions): void {
  const isNotice = (entry: ChatEntry) =>
    entry.text.startsWith("\u200e") && readChatMedia(entry.text) === undefined &&
    (ENCRYPTION_NOTICE.test(entry.text) || SIGNED_NOTICE.test(entry.text));
  const signers = new Set(entries.filter(isNotice).flatMap((entry) => entry.sender ?? []));
  for (const signer of signers) {
    const own = entries.filter((entry) => entry.sender === signer);
    const isGroupItself = own.every((entry) =>
      entry.text.startsWith("\u200e") && readChatMedia(entry.text) === undefined
    );
    const others = new Set(entries.map((entry) => entry.sender));
    others.delete(signer);
    others.delete(undefined);
    const title = options.chatName ?? titleOf(options.fileName, [signer]);
    const isUnsigned = isGroupItself &&
      (others.size > 1 || (title !== undefined && sameName(title, signer)));
    for (const entry of own) {
      if (isUnsigned || isNotice(entry)) delete entry.sender;
    }
  }
}

function findMe(
  senders: readonly string[],
  titleSender: string | undefined,
  title: string | undefined,
  hasGroupNotice: boolean,
  options: WhatsAppOptions,
): string | undefined {
  const names = senders.slice(0, 20).map((name) => JSON.stringify(name)).join(", ");
  const { me } = options;
  if (me !== undefined) {
    const own = senders.find((sender) => sameName(sender, me));
    if (own !== undefined) return own;
    if (senders.length === 1 && titleSender !== undefined) return undefined;
    throw usageError(
      `No sender in this chat is called ${JSON.stringify(me)}. Give --me one of: ${names}.`,
    );
  }
  // The file is named after the other party, so the other sender in a chat of two is you.
  if (titleSender !== undefined && senders.length <= 2) {
    return senders.find((sender) => sender !== titleSender);
  }
  // You wrote, and the other party never answered.
  if (senders.length === 1 && title !== undefined && !hasGroupNotice) return senders[0];
  throw usageError(
    `The export does not say which sender is you. Give --me one of: ${names}.`,
  );
}

function directConversation(
  name: string | undefined,
  options: WhatsAppOptions,
): ImportConversation {
  const identifier = options.participant ?? (name && isPhoneLike(name) ? name : undefined);
  if (identifier === undefined) {
    throw usageError(
      `The export has no phone number for ${
        name === undefined ? "the other party" : JSON.stringify(name)
      }. Give it: --participant "+62…".`,
    );
  }
  const participant = isPhoneLike(identifier) ? toPhone(identifier) : identifier.trim();
  const conversation: ImportConversation = {
    externalId: isPhoneLike(identifier)
      ? participant.replace(/\D/g, "")
      : participant.normalize("NFC").toLowerCase(),
    participantIdentifier: participant,
  };
  if (name !== undefined && !isPhoneLike(name)) conversation.participantName = name.slice(0, 200);
  return conversation;
}

async function groupConversation(
  title: string | undefined,
  options: WhatsAppOptions,
): Promise<ImportConversation> {
  if (title === undefined) {
    throw usageError(
      'The chat has several senders, so it is a group, and the file name does not say which. Give its name: --chat "Name of the group".',
    );
  }
  const hash = (await sha256(title.normalize("NFC").trim().toLowerCase())).slice(0, 24);
  return {
    externalId: `group-${hash}`,
    participantIdentifier: options.participant?.trim() ?? `group-${hash}`,
    participantName: title.slice(0, 200),
  };
}

/** `WhatsApp Chat with Sari (1).txt` → `Sari`. */
function titleOf(fileName: string, senders: readonly string[]): string | undefined {
  let base = fileName.replace(/^.*[\\/]/u, "").replace(/\.(?:txt|zip)$/iu, "").normalize("NFC");
  if (!base.includes(" ")) base = base.replaceAll("_", " ");
  const name = FILE_NAME.exec(base)?.groups?.name?.trim();
  if (name === undefined || senders.some((sender) => sameName(sender, name))) return name;
  // A browser numbers a second download, but a contact may have such a name, so the senders decide.
  return name.replace(/\s?\(\d{1,3}\)$/u, "");
}

function sameName(one: string, other: string): boolean {
  const plain = (name: string) =>
    stripMarks(name).normalize("NFC").replace(/\s+/gu, " ").trim().toLowerCase();
  if (plain(one) === plain(other)) return true;
  // Phone numbers have other spaces in file names than in the text.
  return isPhoneLike(one) && isPhoneLike(other) && toPhone(one) === toPhone(other);
}

function isPhoneLike(name: string): boolean {
  const plain = stripMarks(name).trim();
  return /^\+?[\d\s().‐‑-]{7,30}$/u.test(plain) && plain.replace(/\D/g, "").length >= 7;
}

function toPhone(name: string): string {
  const plain = stripMarks(name).trim();
  return parsePhoneNumberFromString(plain)?.number ??
    `${plain.startsWith("+") ? "+" : ""}${plain.replace(/\D/g, "")}`;
}

function toInstant(localTime: string, timeZone: string): string {
  const { epochMilliseconds } = Temporal.PlainDateTime.from(localTime).toZonedDateTime(timeZone);
  return new Date(epochMilliseconds).toISOString();
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}
