/**
 * Texts that come from outside, made fit for a terminal.
 *
 * @module
 */

import { parsePhoneNumberFromString } from "libphonenumber-js";
import { stripVTControlCharacters } from "node:util";

/** Longest name that is shown. */
const MAX_LENGTH = 200;

/**
 * A text without anything that moves the cursor, changes colours, turns the direction of writing or
 * begins a line.
 */
export function safeText(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/[\p{Cc}\u2028\u2029]+/gu, " ")
    .replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "")
    .slice(0, MAX_LENGTH).toWellFormed().trim();
}

/** Who a conversation is with: name and number, as far as Kapso knows them. */
export function describeContact(name: string | null, phone: string | null): string {
  const shownName = name === null ? "" : safeText(name);
  const shownPhone = phone === null ? "" : formatPhone(safeText(phone));
  if (shownName === "") return shownPhone === "" ? "unknown contact" : shownPhone;
  return shownPhone === "" ? shownName : `${shownName} (${shownPhone})`;
}

/** A number as WhatsApp shows it, such as +62 812-3456-7890; anything else as it is. */
function formatPhone(phone: string): string {
  if (!/^\+?\d{5,20}$/u.test(phone)) return phone;
  const digits = `+${phone.replace("+", "")}`;
  const parsed = parsePhoneNumberFromString(digits);
  if (parsed === undefined) return digits;
  // As inside the country, without what is dialled there before it.
  const local = parsed.formatNational().replace(/^0+|[()]/gu, "").trim();
  return local.replace(/\D/gu, "") === parsed.nationalNumber
    ? `+${parsed.countryCallingCode} ${local}`
    : parsed.formatInternational();
}
