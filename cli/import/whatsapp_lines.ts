/**
 * Finds the entries of a WhatsApp chat export: where each begins, when it was and who wrote it.
 *
 * WhatsApp writes dates in the style of the exporting phone's language and does not name the style, so the
 * order of day and month is detected from all dates of the file together. A line of a message can look like the
 * beginning of an entry: the first entry of the file fixes the exact style, and impossible dates and jumps in
 * time reveal the others. Pure functions, no I/O.
 *
 * @module
 */

import { CommandError, usageError } from "../command_error.ts";

/** The order of the three numbers of a date. */
export type DateOrder = "dmy" | "mdy" | "ymd";

/** One entry of the export, not yet a message. */
export interface ChatEntry {
  /** The phone's clock, `2025-12-31T21:05:09`; seconds are 00 where the export has none. */
  localTime: string;
  /** Absent for notices of WhatsApp itself. */
  sender?: string;
  /** All lines, with direction marks. */
  text: string;
}

/** What {@linkcode readChatEntries} found. */
export interface ChatEntries {
  entries: ChatEntry[];
  dateOrder: DateOrder;
  /** iPhones export `[date] name:`, Android `date - name:`. */
  isBracketed: boolean;
}

// \s includes the no-break spaces U+00A0 and U+202F that newer phones put before AM and PM.
const HEADER =
  /^[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]*(?<open>\[)?(?<a>\d{1,4})(?<dash>[./-])\s?(?<b>\d{1,2})\k<dash>\s?(?<c>\d{1,4})\.?(?<comma>,)?\s(?:(?:klo|kl\.?|um|at|às|a las|à)\s)?(?<hour>\d{1,2})[:.](?<minute>\d{2})(?:[:.](?<second>\d{2}))?(?:\s?(?<half>[ap])\.?\s?m\.?)?(?<close>\])?(?<gap>\s-\s|:\s|\s)(?<rest>.*)$/isu;

/** A name ends at the first colon. WhatsApp names have at most 25 characters, contacts' names can be longer. */
const SENDER = /^(?<sender>[^:]{1,120}):(?:\s(?<text>.*))?$/su;

const MARKS = /[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** Sentences of WhatsApp itself that have a colon, in exports that give them no sender. */
const SYSTEM_SENTENCE =
  /^[^:]{1,120}\s(?:created group|creó el grupo|criou o grupo|membuat grup|hat die Gruppe|changed the (?:subject|group (?:name|description))|ha cambiado el asunto|mudou o (?:nome|assunto)|mengubah subjek|hat den (?:Betreff|Gruppennamen))\s/iu;

const DAY_MS = 86_400_000;

interface Header {
  style: string;
  isBracketed: boolean;
  parts: [string, string, string];
  separator: string;
  hour: number;
  minute: number;
  second: number;
  rest: string;
}

/**
 * Reads a chat file into entries.
 *
 * @param chat The whole text of the `.txt` file.
 * @param dateOrder Overrides detection.
 * @returns The entries in the order of the file.
 * @throws {CommandError} When the text is no WhatsApp export, or its dates are ambiguous.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const { entries } = readChatEntries("[31/12/2025, 21:05:09] Sari: Hi\nthere");
 * assert(entries[0]?.localTime === "2025-12-31T21:05:09");
 * assert(entries[0]?.text === "Hi\nthere");
 * ```
 */
export function readChatEntries(chat: string, dateOrder?: DateOrder): ChatEntries {
  const lines = chat.split(/\r\n|\n|\r/u);
  const headers = lines.map(readHeader);
  const first = headers.find((header) => header !== undefined);
  if (!first) {
    throw new CommandError(
      "No line of the file begins like a WhatsApp export (“31/12/2025, 21:05 - Name: …” or “[31/12/2025, 21:05:09] Name: …”). Export the chat again with the phone's numbers set to 0–9.",
    );
  }
  const candidates = headers.map((header) => header?.style === first.style ? header : undefined);
  const order = dateOrder ?? detectDateOrder(candidates.filter((header) => header !== undefined));

  const found: (Candidate | undefined)[] = candidates.map((header) => {
    const localTime = header && toLocalTime(header, order);
    if (!header || !localTime) return undefined;
    const named = splitSender(header.rest);
    return { localTime, timeMs: Date.parse(`${localTime}Z`), ...named };
  });
  if (found.every((candidate) => candidate === undefined)) {
    throw usageError(
      `With --date-order ${order} none of the file's dates is a real date. Leave the option out, or give another.`,
    );
  }
  dropImpostors(found);

  const entries: ChatEntry[] = [];
  for (const [index, candidate] of found.entries()) {
    const last = entries.at(-1);
    if (candidate) {
      const { localTime, sender, text } = candidate;
      entries.push(sender === undefined ? { localTime, text } : { localTime, sender, text });
    } else if (last) {
      last.text += `\n${lines[index]}`;
    }
  }
  for (const entry of entries) entry.text = entry.text.trimEnd();
  return { entries, dateOrder: order, isBracketed: first.isBracketed };
}

/** Removes the invisible marks that WhatsApp puts around names, numbers and its own words. */
export function stripMarks(text: string): string {
  return text.replace(MARKS, "");
}

/**
 * Detects the date order of a file: a number over 12 decides, otherwise the order in which time does not run
 * backwards.
 */
function detectDateOrder(headers: readonly Header[]): DateOrder {
  let dayFirst = 0;
  let monthFirst = 0;
  let yearFirst = 0;
  for (const { parts: [a, b] } of headers) {
    if (a.length === 4) yearFirst++;
    else if (Number(a) > 12 && Number(a) <= 31 && Number(b) <= 12) dayFirst++;
    else if (Number(b) > 12 && Number(b) <= 31 && Number(a) <= 12) monthFirst++;
  }
  if (yearFirst > headers.length / 2) return "ymd";
  // A date inside a message may have the other order, so the majority decides.
  if (dayFirst !== monthFirst) return dayFirst > monthFirst ? "dmy" : "mdy";

  const stepsBack = (order: DateOrder) => {
    let count = 0;
    let before = "";
    for (const header of headers) {
      const time = toLocalTime(header, order);
      if (!time) continue;
      if (time.slice(0, 10) < before) count++;
      before = time.slice(0, 10);
    }
    return count;
  };
  const [dmy, mdy] = [stepsBack("dmy"), stepsBack("mdy")];
  if (dmy !== mdy) return dmy < mdy ? "dmy" : "mdy";
  const isSameEitherWay = headers.every(({ parts: [a, b] }) => Number(a) === Number(b));
  // No language writes month.day.year.
  if (isSameEitherWay || headers.every((header) => header.separator === ".")) return "dmy";
  const unclear = headers.find(({ parts: [a, b] }) => Number(a) !== Number(b)) ?? headers[0];
  throw usageError(
    `The dates of this file can be read as day/month or as month/day (${
      unclear?.parts.join(unclear.separator)
    }). Give --date-order dmy or --date-order mdy.`,
  );
}

interface Candidate {
  localTime: string;
  timeMs: number;
  sender?: string;
  text: string;
}

/**
 * Removes lines of messages that look like entries (an agenda, a pasted chat). Their times are out of order: a
 * line without a sender must lie between its neighbours, and one with a sender who has no line in order must be
 * less than a day off. Real messages sometimes arrive late, so a line of a known sender always counts.
 */
function dropImpostors(found: (Candidate | undefined)[]): void {
  const inOrder = longestInOrder(found);
  const knownSenders = new Set([...inOrder].map((index) => found[index]?.sender));
  const nextTimes: number[] = new Array(found.length);
  for (let index = found.length - 1, next = Infinity; index >= 0; index--) {
    nextTimes[index] = next;
    if (inOrder.has(index)) next = found[index]!.timeMs;
  }
  let before = -Infinity;
  for (const [index, candidate] of found.entries()) {
    if (!candidate) continue;
    if (inOrder.has(index)) {
      before = candidate.timeMs;
      continue;
    }
    const { sender, timeMs } = candidate;
    if (sender !== undefined && knownSenders.has(sender)) continue;
    const toleranceMs = sender === undefined ? 60_000 : DAY_MS;
    const isNear = timeMs >= before - toleranceMs && timeMs <= nextTimes[index]! + toleranceMs;
    if (!isNear) found[index] = undefined;
  }
}

/**
 * Finds the indexes of a longest subsequence whose times never go back (patience sorting). The first entry is
 * real, because nothing precedes it, so entries that are more than a day older are left out.
 */
function longestInOrder(found: readonly (Candidate | undefined)[]): Set<number> {
  const tails: number[] = [];
  const previous: (number | undefined)[] = new Array(found.length);
  const earliestMs = (found.find((candidate) => candidate !== undefined)?.timeMs ?? 0) - DAY_MS;
  for (const [index, candidate] of found.entries()) {
    if (!candidate || candidate.timeMs < earliestMs) continue;
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (found[tails[middle]!]!.timeMs <= candidate.timeMs) low = middle + 1;
      else high = middle;
    }
    previous[index] = tails[low - 1];
    tails[low] = index;
  }
  const indexes = new Set<number>();
  for (let index = tails.at(-1); index !== undefined; index = previous[index]) indexes.add(index);
  return indexes;
}

function readHeader(line: string): Header | undefined {
  const groups = HEADER.exec(line)?.groups;
  if (!groups) return undefined;
  const { open, close, a, b, c, dash, comma, second, half, gap } = groups;
  if ((open === undefined) !== (close === undefined)) return undefined;
  if ((open === undefined) === (gap?.length === 1)) return undefined;
  let hour = Number(groups.hour);
  if (half !== undefined) {
    if (hour < 1 || hour > 12) return undefined;
    hour = hour % 12 + (half.toLowerCase() === "p" ? 12 : 0);
  }
  return {
    style: [open, dash, comma, second === undefined, half === undefined, gap?.trim()].join(),
    isBracketed: open !== undefined,
    parts: [a!, b!, c!],
    separator: dash!,
    hour,
    minute: Number(groups.minute),
    second: Number(second ?? 0),
    rest: groups.rest ?? "",
  };
}

function toLocalTime(header: Header, order: DateOrder): string | undefined {
  const [a, b, c] = header.parts;
  const [yearText, monthText, dayText] = order === "dmy"
    ? [c, b, a]
    : order === "mdy"
    ? [c, a, b]
    : [a, b, c];
  if (yearText.length !== 2 && yearText.length !== 4) return undefined;
  const { hour, minute, second } = header;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  try {
    return Temporal.PlainDateTime.from({
      year: Number(yearText) + (yearText.length === 2 ? 2000 : 0),
      month: Number(monthText),
      day: Number(dayText),
      hour,
      minute,
      second,
    }, { overflow: "reject" }).toString({ smallestUnit: "second" });
  } catch {
    return undefined;
  }
}

function splitSender(rest: string): { sender?: string; text: string } {
  const groups = SYSTEM_SENTENCE.test(rest) ? undefined : SENDER.exec(rest)?.groups;
  if (groups?.sender === undefined) return { text: rest };
  // iPhones show “~ Name” for a sender who is not in the address book.
  const sender = stripMarks(groups.sender).normalize("NFC").replace(/\s+/gu, " ").trim().replace(
    /^~ ?/u,
    "",
  );
  return sender === "" ? { text: rest } : { sender, text: groups.text ?? "" };
}
