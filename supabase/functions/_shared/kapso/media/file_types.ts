/**
 * Which files are copied and shown: their types, and how large they may be.
 *
 * @module
 */

const MB = 1024 * 1024;

/** WhatsApp's limits of the size of files, in bytes. */
const LIMITS: Readonly<Record<string, number>> = {
  image: 5 * MB,
  audio: 16 * MB,
  video: 16 * MB,
};
const OTHER_LIMIT = 100 * MB;

const OFFICE = "application/vnd.openxmlformats-officedocument";
const OPEN_DOCUMENT = "application/vnd.oasis.opendocument";

/**
 * Allowed types, with the extension of their names. Nothing that a browser would run as a page of ours: no
 * HTML, no SVG, no XML.
 */
const EXTENSIONS: Readonly<Record<string, string>> = {
  "image/jpeg": "jpg",
  "image/png": "png",
  "image/webp": "webp",
  "image/gif": "gif",
  "audio/aac": "aac",
  "audio/amr": "amr",
  "audio/mpeg": "mp3",
  "audio/mp4": "m4a",
  "audio/ogg": "ogg",
  "audio/opus": "opus",
  "audio/wav": "wav",
  "audio/webm": "weba",
  "video/mp4": "mp4",
  "video/3gpp": "3gp",
  "video/quicktime": "mov",
  "video/webm": "webm",
  "text/plain": "txt",
  "text/csv": "csv",
  "text/calendar": "ics",
  "text/vcard": "vcf",
  "text/x-vcard": "vcf",
  "application/pdf": "pdf",
  "application/json": "json",
  "application/rtf": "rtf",
  "application/zip": "zip",
  "application/x-zip-compressed": "zip",
  "application/gzip": "gz",
  "application/x-7z-compressed": "7z",
  "application/vnd.rar": "rar",
  "application/msword": "doc",
  "application/vnd.ms-excel": "xls",
  "application/vnd.ms-powerpoint": "ppt",
  [`${OFFICE}.wordprocessingml.document`]: "docx",
  [`${OFFICE}.spreadsheetml.sheet`]: "xlsx",
  [`${OFFICE}.presentationml.presentation`]: "pptx",
  [`${OPEN_DOCUMENT}.text`]: "odt",
  [`${OPEN_DOCUMENT}.spreadsheet`]: "ods",
  [`${OPEN_DOCUMENT}.presentation`]: "odp",
  "application/octet-stream": "bin",
};

/** Types that say nothing about a file. */
const VAGUE = new Set(["", "application/octet-stream", "binary/octet-stream"]);

/**
 * The type under which a file is kept.
 *
 * @param declared The type in the message, such as `audio/ogg; codecs=opus`.
 * @param answered The type in the answer of the server that has the file; undefined before it answers.
 * @returns Without parameters; undefined where one of the two is not allowed.
 */
export function allowedType(
  declared: string | undefined,
  answered?: string | null,
): string | undefined {
  const types = [answered, declared].map((type) =>
    (type ?? "").split(";")[0]!.trim().toLowerCase()
  );
  const found = types.find((type) => !VAGUE.has(type)) ?? "application/octet-stream";
  return types.every((type) => VAGUE.has(type) || Object.hasOwn(EXTENSIONS, type))
    ? found
    : undefined;
}

/** The largest size of a file of an allowed type, in bytes. */
export function sizeLimit(type: string): number {
  return LIMITS[type.split("/")[0]!] ?? OTHER_LIMIT;
}

/** Extension of the name of a file of an allowed type, without the dot. */
export function extensionOf(type: string): string {
  return EXTENSIONS[type] ?? "bin";
}

/** Whether a browser may show a file of an allowed type in a page, and not only download it. */
export function isShowable(type: string): boolean {
  return /^(?:image|audio|video)\//.test(type) || type === "application/pdf";
}
