/**
 * Digits of phone numbers.
 *
 * @module
 */

/** Spaces, brackets, hyphens and the invisible marks that come with copied numbers, and what may stand before one. */
const AROUND_DIGITS =
  /^(?:whatsapp:|tel:)|[\s().\-/\u00a0\u2010-\u2015\u200b-\u200f\u202a-\u202e\u202f\u2060-\u2069\ufeff]/gi;
/** As `private.phone_extension_pattern` has it, at the end. */
const EXTENSION =
  /([0-9][\s().-]*)(?:(?:;\s*ext\s*=|[\s,;]*(?:e?xt(?:ensi(?:o|ó))?n?|доб|anexo|ramal|int|x|#|~)[.:]?[\s,-]*)[0-9]{1,7}|[,;]+\s*[0-9]{1,6})#?\s*$/iu;
const WHATSAPP_ADDRESS = /@(?:s\.whatsapp\.net|c\.us|hosted)$/i;
const PHONE_ADDRESS = /^([0-9]{7,15})(?:[._][0-9]+)?(?::[0-9]+)?@/;

/**
 * The digits of a phone number, in any spelling, without its extension. The same rule as private.phone_digits_of for
 * WhatsApp; libphonenumber has none for it, because it takes a number apart and puts it together as it should be today,
 * and what WhatsApp gave must stay as it is (Mexico's 521).
 *
 * @returns 7 to 15 digits without `+` or `00`; undefined for any other value, such as a BSUID.
 */
export function phoneDigits(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  // Full-width letters and signs are the ordinary ones.
  const text = withAsciiDigits(value.normalize("NFKC")).trim();
  if (WHATSAPP_ADDRESS.test(text)) return PHONE_ADDRESS.exec(text)?.[1];
  const bare = text.replace(EXTENSION, "$1").replace(AROUND_DIGITS, "");
  if (!/^\+?[0-9]{7,17}$/.test(bare)) return undefined;
  const digits = bare.replace(/^\+/, "").replace(/^00/, "");
  return digits.length >= 7 && digits.length <= 15 ? digits : undefined;
}

/** A text with the digits of every script as 0 to 9. The same rule as private.with_ascii_digits. */
function withAsciiDigits(text: string): string {
  return text.replace(/[^\P{Nd}0-9]/gu, (digit) => {
    // Unicode keeps the digits of a script together, zero first and ten after ten.
    let before = 0;
    for (let code = digit.codePointAt(0)! - 1; isDigit(code); code--) before++;
    return String(before % 10);
  });
}

function isDigit(code: number): boolean {
  return /^\p{Nd}$/u.test(String.fromCodePoint(code));
}
