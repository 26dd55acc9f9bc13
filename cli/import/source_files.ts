/**
 * Opens export files and detects their kind. This is the only module that reads them from disk.
 *
 * @module
 */

import { createHash } from "node:crypto";

import { configure, type Entry, type FileEntry, Reader, ZipReader } from "@zip.js/zip.js";

import { CommandError, usageError } from "../command_error.ts";
import { type ImportItem, type Platform } from "./import_item.ts";
import {
  chooseTelegramChats,
  readTelegram,
  type ReadTelegramOptions,
  surveyTelegram,
} from "./telegram.ts";
import {
  type ChatAttachment,
  mentionedFiles,
  prepareWhatsApp,
  readWhatsApp,
  type WhatsAppOptions,
} from "./whatsapp.ts";

/** A file that was read and can be imported. */
export interface Source {
  /** Name of the file, without its folder. */
  name: string;
  platform: Platform;
  /** One line about how the file is read. */
  description: string;
  /** Number of messages and of entries that are skipped, for the progress display. */
  itemCount: number;
  items(): AsyncIterable<ImportItem>;
}

/** Options of {@linkcode openSource}. */
export interface SourceOptions extends Omit<ReadTelegramOptions, "chats"> {
  chats: readonly string[];
  participant?: string;
  dateOrder?: NonNullable<WhatsAppOptions["dateOrder"]>;
  /** Whether to hash attachments; a dry run does not need it. */
  hashAttachments: boolean;
}

/** A chat of 100,000 long messages is far smaller. */
const MAX_CHAT_TEXT_BYTES = 256 * 1024 * 1024;

/**
 * Opens a Telegram `result.json`, the folder it lies in, or a WhatsApp `.txt` or `.zip`.
 *
 * @param path As given on the command line.
 * @param options See {@linkcode SourceOptions}.
 * @returns The source. Any fault of the file has been reported by now.
 * @throws {CommandError} When the file cannot be read or understood.
 */
export async function openSource(path: string, options: SourceOptions): Promise<Source> {
  const file = await resolveFile(path);
  const extension = file.slice(file.lastIndexOf(".") + 1).toLowerCase();
  switch (extension) {
    case "json":
      return await openTelegram(file, options);
    case "txt": {
      const { size } = await Deno.stat(file);
      if (size > MAX_CHAT_TEXT_BYTES) throw tooLarge(file);
      return await openWhatsApp(file, baseName(file), await Deno.readTextFile(file), options);
    }
    case "zip":
      return await openZip(file, options);
    case "html":
      throw usageError(
        `${
          baseName(file)
        } is a web page. Export again and choose the format “Machine-readable JSON”.`,
      );
    default:
      throw usageError(
        `${
          baseName(file)
        } is not a kind of file this imports. Give a Telegram result.json, or a WhatsApp .txt or .zip.`,
      );
  }
}

async function resolveFile(path: string): Promise<string> {
  try {
    const info = await Deno.stat(path);
    if (!info.isDirectory) return path;
    const result = `${path.replace(/[\\/]+$/u, "")}/result.json`;
    await Deno.stat(result);
    return result;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw usageError(`There is no file ${path}.`);
    }
    throw new CommandError(`Cannot read ${path}.`, { cause: error });
  }
}

async function openTelegram(file: string, options: SourceOptions): Promise<Source> {
  const survey = await surveyTelegram(readChunks(file));
  const { me, chats, timeZone } = options;
  const readOptions = { chats, timeZone, ...(me === undefined ? {} : { me }) };
  const chosen = [...chooseTelegramChats(survey, readOptions).values()];
  return {
    name: baseName(file),
    platform: "telegram",
    description: `Telegram, ${chosen.length} ${chosen.length === 1 ? "chat" : "chats"}`,
    itemCount: chosen.reduce((sum, chat) => sum + chat.messageCount, 0),
    items: () => readTelegram(readChunks(file), survey, readOptions),
  };
}

async function openWhatsApp(
  file: string,
  chatFileName: string,
  text: string,
  options: SourceOptions,
  attachments: Map<string, ChatAttachment> = new Map(),
  addHashes: (names: Set<string>) => Promise<void> = () => Promise.resolve(),
): Promise<Source> {
  const { me, participant, dateOrder, timeZone, chats } = options;
  const chat = await prepareWhatsApp(text, {
    fileName: chatFileName,
    timeZone,
    attachments,
    ...(me === undefined ? {} : { me }),
    ...(participant === undefined ? {} : { participant }),
    ...(dateOrder === undefined ? {} : { dateOrder }),
    ...(chats[0] === undefined ? {} : { chatName: chats[0] }),
  });
  const kind = chat.isGroup ? "group" : "chat of two";
  return {
    name: baseName(file),
    platform: "whatsapp",
    description: `WhatsApp ${kind}, dates ${chat.dateOrder}, times as in ${timeZone}, you are ${
      chat.me === undefined ? "silent" : JSON.stringify(chat.me)
    }`,
    itemCount: chat.entries.length,
    async *items() {
      if (options.hashAttachments) await addHashes(mentionedFiles(chat));
      yield* readWhatsApp(chat);
    },
  };
}

async function openZip(file: string, options: SourceOptions): Promise<Source> {
  const entries = await withZip(file, (entries) => Promise.resolve(entries));
  const chatEntry = findChat(entries);
  if (!chatEntry) {
    throw new CommandError(
      `${
        baseName(file)
      } holds no chat. Give the zip that WhatsApp's “Export chat” made; of a Telegram export give the result.json.`,
    );
  }
  if (chatEntry.uncompressedSize > MAX_CHAT_TEXT_BYTES) throw tooLarge(file);
  const text = await withZip(file, async (fresh) => {
    const entry = fresh.find(({ filename }) => filename === chatEntry.filename);
    const decoder = new TextDecoder();
    const parts: string[] = [];
    await unpack(file, entry!, (bytes) => parts.push(decoder.decode(bytes, { stream: true })));
    return parts.join("") + decoder.decode();
  });
  const attachments = new Map<string, ChatAttachment>();
  for (const entry of entries) {
    if (entry === chatEntry) continue;
    attachments.set(baseName(entry.filename), { size: entry.uncompressedSize });
  }
  const addHashes = (names: Set<string>) =>
    withZip(file, async (fresh) => {
      for (const entry of fresh) {
        const attachment = attachments.get(baseName(entry.filename));
        if (!attachment || !names.has(baseName(entry.filename))) continue;
        const hash = createHash("sha256");
        await unpack(file, entry, (bytes) => hash.update(bytes));
        attachment.sha256 = hash.digest("hex");
      }
    });
  // Android names the text after the chat; an iPhone calls it _chat.txt and names the zip after the chat.
  const chatFileName = baseName(chatEntry.filename) === "_chat.txt"
    ? baseName(file)
    : baseName(chatEntry.filename);
  return await openWhatsApp(file, chatFileName, text, options, attachments, addHashes);
}

function findChat(entries: readonly FileEntry[]): FileEntry | undefined {
  const texts = entries.filter(({ filename }) => /\.txt$/iu.test(filename));
  return texts.find(({ filename }) => baseName(filename) === "_chat.txt") ??
    texts.find(({ filename }) => /whatsapp/iu.test(baseName(filename))) ??
    (texts.length === 1 ? texts[0] : undefined);
}

async function withZip<Result>(
  file: string,
  work: (entries: FileEntry[]) => Promise<Result>,
): Promise<Result> {
  configure({ useWebWorkers: false });
  using handle = await Deno.open(file);
  const { size } = await handle.stat();
  const zip = new ZipReader(new FileReader(handle, size));
  try {
    const entries = (await zip.getEntries()).filter(isFile);
    if (entries.some((entry) => entry.encrypted)) {
      throw new CommandError(`${baseName(file)} has a password. Unpack it first.`);
    }
    return await work(entries);
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`${baseName(file)} is not a complete zip file.`, {
      cause: error,
    });
  } finally {
    await zip.close();
  }
}

/**
 * Unpacks a file of a zip, piece by piece, and no more than the zip says it holds: a few bytes can unpack to gigabytes.
 *
 * @throws {CommandError} When it holds more.
 */
async function unpack(
  file: string,
  entry: FileEntry,
  take: (bytes: Uint8Array) => void,
): Promise<void> {
  let left = entry.uncompressedSize;
  try {
    await entry.getData(
      new WritableStream<Uint8Array>({
        write(bytes) {
          left -= bytes.length;
          if (left < 0) throw new Error("larger than its entry says");
          take(bytes);
        },
      }),
    );
  } catch (error) {
    if (left >= 0) throw error;
    throw new CommandError(
      `${baseName(file)} is damaged: ${baseName(entry.filename)} is larger than the zip says.`,
    );
  }
}

function isFile(entry: Entry): entry is FileEntry {
  return !entry.directory;
}

/** Reads a zip piece by piece, so that gigabytes of media stay on disk. */
class FileReader extends Reader<void> {
  readonly #file: Deno.FsFile;

  constructor(file: Deno.FsFile, size: number) {
    super();
    this.#file = file;
    this.size = size;
  }

  override async readUint8Array(index: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    await this.#file.seek(index, Deno.SeekMode.Start);
    const bytes = new Uint8Array(Math.min(length, this.size - index));
    for (let filled = 0; filled < bytes.length;) {
      const count = await this.#file.read(bytes.subarray(filled));
      if (count === null) return bytes.slice(0, filled);
      filled += count;
    }
    return bytes;
  }
}

async function* readChunks(file: string): AsyncGenerator<Uint8Array> {
  using handle = await Deno.open(file);
  const buffer = new Uint8Array(256 * 1024);
  for (;;) {
    const count = await handle.read(buffer);
    if (count === null) return;
    yield buffer.subarray(0, count);
  }
}

function baseName(path: string): string {
  return path.replace(/^.*[\\/]/u, "");
}

function tooLarge(file: string): CommandError {
  return new CommandError(
    `The text of ${baseName(file)} is larger than 256 MB, which no chat export is.`,
  );
}
