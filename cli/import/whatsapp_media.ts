/**
 * Recognises attachments and locations in the text of a WhatsApp export.
 *
 * The export names an attachment in the phone's language, or only says that there was one. Known are the words
 * of English, Indonesian, Spanish, Portuguese, French, German, Italian and Dutch; file names are recognised in
 * any language. Pure functions, no I/O.
 *
 * @module
 */

import type { ImportMessage } from "./import_item.ts";
import { stripMarks } from "./whatsapp_lines.ts";

/** An attachment or a place that a message's text names. */
export interface ChatMedia {
  type: ImportMessage["type"];
  /** The text without the attachment line. */
  caption: string;
  fileName?: string;
  latitude?: number;
  longitude?: number;
  url?: string;
}

const EXTENSIONS = new Map<string, ImportMessage["type"]>([
  ...["jpg", "jpeg", "png", "gif", "webp", "heic", "heif", "bmp", "tiff", "avif"]
    .map((extension) => [extension, "image"] as const),
  ...["opus", "ogg", "oga", "mp3", "m4a", "aac", "amr", "wav", "flac", "wma"]
    .map((extension) => [extension, "audio"] as const),
  ...["mp4", "mov", "3gp", "m4v", "mkv", "avi", "webm"]
    .map((extension) => [extension, "video"] as const),
]);

/** `<attached: 00000012-PHOTO-2025-12-31-21-05-09.jpg>`, in any language; iPhones put a mark before it. */
const ATTACHED_IOS =
  /(?<mark>\u200e?)<(?<word>[^<>:\n]{2,30}?)\s?:\s(?<name>[^<>\n]+\.[\p{L}\d]{1,8})>\s*$/u;

/** `IMG-20251231-WA0001.jpg (file attached)`, with the caption on the lines below. */
const ATTACHED_ANDROID =
  /^(?<mark>\u200e?)(?<name>[^\n]+\.[\p{L}\d]{1,8}) \((?<word>[^()\n]{3,40})\)(?:\n|$)/u;

const ATTACHED_WORDS =
  /^(?:attached|file attached|adjunto|archivo adjunto|anexado|arquivo anexado|ficheiro anexado|terlampir|file terlampir|berkas terlampir|pièce jointe|fichier joint|anhang|datei angehängt|allegato|file allegato|bijlage|bestand bijgevoegd|bijgevoegd bestand)$/iu;

/** File names that WhatsApp itself makes. */
const WHATSAPP_FILE_NAME =
  /^(?:(?:IMG|VID|AUD|PTT|STK|DOC|GIF)-\d{8}-WA\d{4,}|\d{8}-(?:PHOTO|VIDEO|AUDIO|STICKER|GIF|CONTACT)-)/u;

/** `<Media omitted>` of Android; the caption follows on the next line. */
const OMITTED_ANDROID =
  /^\u200e?<(?:media omitted|media tidak disertakan|multimedia omitido|archivo omitido|mídia oculta|arquivo de mídia oculto|ficheiro não revelado|médias? omis|fichier omis|medien ausgeschlossen|media omessi?|media weggelaten)>(?:\n|$)/iu;

const OMITTED_WORDS =
  "omitted|omitid[oa]|ocultad[oa]|tidak disertakan|weggelassen|ausgelassen|absente?|omis|retirée?|manquant|omess[oa]|non inclus[oa]|esclus[oa]|weggelaten";

/** `image omitted` of iPhones, after the caption if there is one. */
const OMITTED_IOS = new RegExp(
  `(?<mark>^|\\u200e)(?<noun>[\\p{L}][\\p{L} ]{2,24}?) (?:${OMITTED_WORDS})\\s*$`,
  "iu",
);

const OMITTED_NOUNS: readonly (readonly [RegExp, ImportMessage["type"]])[] = [
  [/^(?:image|imagen|imagem|gambar|foto|bild|immagine|afbeelding)$/iu, "image"],
  [/^(?:sticker|stiker|figurinha)$/iu, "image"],
  [/^(?:video|vídeo|vidéo|video note|gif)$/iu, "video"],
  [/^(?:audio|áudio)$/iu, "audio"],
  [/^(?:document|documento|dokumen|dokument)$/iu, "file"],
  [
    /^(?:contact card|tarjeta de contacto|cartão d[eo] contato|kartu kontak|kontaktkarte|fiche contact|scheda contatto|contactkaart)$/iu,
    "file",
  ],
];

const LOCATION =
  /^(?:(?<label>[^\n]{1,200})[\n ])?(?<url>https?:\/\/(?:maps\.google\.com\/|(?:www\.)?google\.com\/maps\/?)\S*?(?:[?&](?:q|query|ll)=|\/@|\/place\/)(?:loc:)?(?<latitude>-?\d{1,2}(?:\.\d+)?)(?:,|%2C)\+?(?<longitude>-?\d{1,3}(?:\.\d+)?)\S*)$/iu;

/**
 * Reads what a message's text says about a file or a place.
 *
 * @param text The text of an entry, with its direction marks.
 * @param fileNames Names of the files that came with the chat.
 * @returns The file or place, or undefined for a text message.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * assert(readChatMedia("IMG-20251231-WA0001.jpg (file attached)\nLook")?.caption === "Look");
 * ```
 */
export function readChatMedia(
  text: string,
  fileNames: { has(name: string): boolean } = new Set<string>(),
): ChatMedia | undefined {
  const isFile = (mark: string, word: string, name: string) =>
    mark !== "" || ATTACHED_WORDS.test(word) || WHATSAPP_FILE_NAME.test(name) ||
    fileNames.has(name);

  for (const pattern of [ATTACHED_IOS, ATTACHED_ANDROID]) {
    const match = pattern.exec(text);
    const { mark = "", word = "", name = "" } = match?.groups ?? {};
    if (match && isFile(mark, stripMarks(word).trim(), name)) {
      const caption = text.slice(0, match.index) + text.slice(match.index + match[0].length);
      const fileName = stripMarks(name).trim();
      return { type: typeOfFile(fileName), caption: stripMarks(caption).trim(), fileName };
    }
  }
  const omitted = OMITTED_ANDROID.exec(text);
  if (omitted) {
    return { type: "file", caption: stripMarks(text.slice(omitted[0].length)).trim() };
  }
  const omittedIos = OMITTED_IOS.exec(text);
  const noun = omittedIos?.groups?.noun ?? "";
  const type = OMITTED_NOUNS.find(([pattern]) => pattern.test(noun))?.[1];
  if (omittedIos && type) {
    return { type, caption: stripMarks(text.slice(0, omittedIos.index)).trim() };
  }
  return readLocation(stripMarks(text).trim());
}

/** Derives the message type from a file name. */
export function typeOfFile(fileName: string): ImportMessage["type"] {
  return EXTENSIONS.get(fileName.slice(fileName.lastIndexOf(".") + 1).toLowerCase()) ?? "file";
}

function readLocation(text: string): ChatMedia | undefined {
  const groups = LOCATION.exec(text)?.groups;
  if (!groups) return undefined;
  const latitude = Number(groups.latitude);
  const longitude = Number(groups.longitude);
  if (Math.abs(latitude) > 90 || Math.abs(longitude) > 180) return undefined;
  const label = groups.label?.trim() ?? "";
  return {
    type: "location",
    // “Location:” in the phone's language is WhatsApp's label; other text is the name of the place.
    caption: /^[\p{L} ]{3,30}:$/u.test(label) ? "" : label,
    latitude,
    longitude,
    url: groups.url!,
  };
}
