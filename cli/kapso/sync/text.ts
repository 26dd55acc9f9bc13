/**
 * Makes texts from outside safe to print on a terminal.
 *
 * @module
 */

import { parsePhoneNumberFromString } from "libphonenumber-js";
import { stripVTControlCharacters } from "node:util";

/** The longest name that is shown. */
const MAX_LENGTH = 200;

/**
 * Removes what moves the cursor, changes colours, turns the direction of writing or begins a line.
 */
export function safeText(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/[\p{Cc}\u2028\u2029]+/gu, " ")
    .replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "")
    .slice(0, MAX_LENGTH).toWellFormed().trim();
}

/** Describes a contact by name and number, as far as Kapso knows them. */
export function describeContact(name: string | null, phone: string | null): string {
  const shownName = name === null ? "" : safeText(name);
  const shownPhone = phone === null ? "" : formatPhone(safeText(phone));
  if (shownName === "") return shownPhone === "" ? "unknown contact" : shownPhone;
  return shownPhone === "" ? shownName : `${shownName} (${shownPhone})`;
}

/** Formats a number as WhatsApp shows it, such as +62 812-3456-7890; leaves other texts as they are. */
function formatPhone(phone: string): string {
  if (!/^\+?\d{5,20}$/u.test(phone)) return phone;
  const digits = `+${phone.replace("+", "")}`;
  const parsed = parsePhoneNumberFromString(digits);
  if (parsed === undefined) return digits;
  // The national format, without the trunk prefix.
  const local = parsed.formatNational().replace(/^0+|[()]/gu, "").trim();
  return local.replace(/\D/gu, "") === parsed.nationalNumber
    ? `+${parsed.countryCallingCode} ${local}`
    : parsed.formatInternational();
}
