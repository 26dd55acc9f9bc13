/**
 * Formats times, sizes and names in the language and time zone of the browser.
 *
 * @module
 */

import type { Conversation, Person } from "./api/rows.ts";
import { texts } from "./texts.ts";

const time = new Intl.DateTimeFormat(undefined, {
  hour: "numeric",
  minute: "2-digit",
});
const dayOfYear = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
});
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const dayAndYear = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  year: "numeric",
});
const longDay = new Intl.DateTimeFormat(undefined, {
  weekday: "long",
  day: "numeric",
  month: "long",
});
const longDayAndYear = new Intl.DateTimeFormat(undefined, {
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
});
const dateTime = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "short",
});
const relative = new Intl.RelativeTimeFormat(undefined, {
  numeric: "auto",
  style: "short",
});
const DAY_MS = 86_400_000;

/** Numbers the local calendar days, so that one day differs from the next by 1. */
export function localDay(iso: string | number | Date): number {
  const date = new Date(iso);
  return Math.round(
    Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / DAY_MS,
  );
}

/** `14:05`. */
export function formatTime(iso: string): string {
  return time.format(new Date(iso));
}

/** The time for today, the weekday for this week, otherwise the date. */
export function formatShort(iso: string): string {
  const date = new Date(iso);
  const age = localDay(Date.now()) - localDay(date);
  if (age <= 0) return time.format(date);
  if (age < 7) return weekday.format(date);
  return date.getFullYear() === new Date().getFullYear()
    ? dayOfYear.format(date)
    : dayAndYear.format(date);
}

/** `Today`, `Yesterday`, or the date in words. */
export function formatDay(iso: string): string {
  const date = new Date(iso);
  const age = localDay(Date.now()) - localDay(date);
  if (age === 0) return texts.thread.today;
  if (age === 1) return texts.thread.yesterday;
  return (date.getFullYear() === new Date().getFullYear() ? longDay : longDayAndYear).format(date);
}

/** The date of a day that is given as `2026-01-31`. */
export function formatDate(day: string): string {
  return dayAndYear.format(startOfDay(day));
}

/** When a day that is given as `2026-01-31` begins; with `later` the day that many days after it. */
export function startOfDay(day: string, later = 0): Date {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  return new Date(year, month - 1, date + later);
}

/** Date and time. */
export function formatDateTime(iso: string): string {
  return dateTime.format(new Date(iso));
}

/** `5 min ago`, `yesterday`; `never` for null. */
export function formatAgo(iso: string | null): string {
  if (iso === null) return texts.common.never;
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  const steps = [[60, "second"], [60, "minute"], [24, "hour"], [
    365,
    "day",
  ]] as const;
  let value = seconds;
  for (const [size, unit] of steps) {
    if (Math.abs(value) < size) return relative.format(Math.round(value), unit);
    value /= size;
  }
  return relative.format(Math.round(value), "year");
}

/** `2 d 3 h`, `5 h 12 min`, `40 s`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], [
    "second",
    1,
  ]] as const;
  const index = Math.max(0, units.findIndex(([, size]) => whole >= size));
  const parts: string[] = [];
  let rest = whole;
  for (const [unit, size] of units.slice(whole === 0 ? 3 : index, index + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count === 0 && parts.length > 0) continue;
    parts.push(
      new Intl.NumberFormat(undefined, {
        style: "unit",
        unit,
        unitDisplay: "short",
      }).format(count),
    );
  }
  return parts.join(" ");
}

/** `1.2 MB`. */
export function formatBytes(bytes: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return new Intl.NumberFormat(undefined, {
    style: "unit",
    unit: units[power]!,
    unitDisplay: "short",
    maximumFractionDigits: power > 1 ? 1 : 0,
  }).format(bytes / 1000 ** power);
}

/** Name of the contact of a conversation: as the workspace knows it, as the platform has it, or the number. */
export function conversationName(
  conversation: Pick<
    Conversation,
    "person_name" | "participant_name" | "participant_identifier"
  >,
): string {
  return conversation.person_name || conversation.participant_name ||
    formatIdentifier(conversation.participant_identifier);
}

/** Name of a person, or the phone number. */
export function personName(
  person: Pick<Person, "name" | "kapso_name" | "phone">,
): string {
  return person.name || person.kapso_name || person.phone ||
    texts.contact.unnamed;
}

/** A number with its plus sign; anything else as it is. */
export function formatIdentifier(identifier: string): string {
  return /^\d{10,15}$/.test(identifier) ? `+${identifier}` : identifier;
}
