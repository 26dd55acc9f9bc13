/**
 * Digits of phone numbers.
 *
 * @module
 */

/** Spaces, brackets, hyphens and the invisible marks that come with copied numbers. */
const PHONE_PUNCTUATION =
  /[\s().\-/\u00a0\u2010-\u2015\u200b-\u200f\u202a-\u202e\u202f\u2060-\u2069\ufeff]/g;

/**
 * The digits of a phone number, in any spelling. The same rule as private.phone_digits_of.
 *
 * @returns 7 to 15 digits without `+` or `00`; undefined for any other value, such as a BSUID.
 */
export function phoneDigits(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const bare = value.replace(PHONE_PUNCTUATION, "");
  if (!/^\+?[0-9]{7,17}$/.test(bare)) return undefined;
  const digits = bare.replace(/^\+/, "").replace(/^00/, "");
  return digits.length >= 7 && digits.length <= 15 ? digits : undefined;
}
