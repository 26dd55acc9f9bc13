/**
 * Calendar days without a time zone, `2026-02-01`. Pure.
 *
 * @module
 */

const DAY_MS = 86_400_000;
/** How far back summaries can be created, in days. */
const OLDEST_DAYS = 366;

const longDay = new Intl.DateTimeFormat(undefined, {
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
  timeZone: "UTC",
});
const shortDay = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  day: "numeric",
  month: "short",
  year: "numeric",
  timeZone: "UTC",
});

/** Today in a time zone. */
export function todayIn(timeZone: string): string {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
  }).formatToParts();
  const part = (type: string) => parts.find((each) => each.type === type)!.value;
  return `${part("year")}-${part("month")}-${part("day")}`;
}

/** The day a number of days later; earlier where it is negative. */
export function addDays(day: string, days: number): string {
  return new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);
}

/** The first day for which summaries can be created. */
export function oldestDay(today: string): string {
  return addDays(today, -OLDEST_DAYS);
}

/** Whether a text is a day that exists. */
export function isDay(text: string | undefined): text is string {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text ?? "")) return false;
  const time = Date.parse(text!);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text!);
}

/** `Sunday, 1 February 2026`. */
export function formatCalendarDay(day: string, style: "long" | "short" = "long"): string {
  return (style === "long" ? longDay : shortDay).format(Date.parse(day));
}
