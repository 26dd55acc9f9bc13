/**
 * Turns untrusted texts into plain text: no links, no markup, no control characters. Pure.
 *
 * @module
 */

const TAG = /<\/?[a-z!][^<>]*>/gi;
const MARKDOWN_LINK = /!?\[([^\]]*)\]\((?:[^()]|\([^()]*\))*\)/g;
const LINK =
  /[a-z][a-z0-9+.-]*:\/\/\S*|\b(?:data|javascript|vbscript|mailto|tel|sms|whatsapp):\S*/gi;
// Links without a scheme: with www, with a path, or with a top-level domain that is common in fraud.
const BARE_LINK =
  /\b(?:www\.\S+|(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}\/\S*|(?:[\p{L}\p{N}-]+\.)+(?:com|net|org|info|biz|io|co|me|app|dev|ai|ly|gl|link|click|top|xyz|site|shop|store|online|live|ru|cn|br|mx|id|de)\b)/giu;
const MARKUP = /[*_`~#|<>[\]{}\\]+/g;
// Control characters, invisible ones and those that change the text direction.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}]/gu;

/**
 * A text on one line, without anything that could be clicked, rendered or run.
 *
 * @param maxLength Characters at most; a longer text is cut and ends with an ellipsis.
 */
export function plainText(text: string, maxLength: number): string {
  const plain = text.toWellFormed().normalize("NFKC")
    .replace(/\s+/g, " ")
    .replace(INVISIBLE, "")
    .replace(MARKDOWN_LINK, "$1")
    .replace(TAG, " ")
    .replace(LINK, " ")
    .replace(BARE_LINK, " ")
    .replace(MARKUP, " ")
    // Removing something may have turned its neighbours into a link.
    .replace(LINK, " ")
    .replace(/\s+/g, " ")
    .replace(/ ([.,;:!?])/g, "$1")
    .trim();
  const characters = [...plain];
  return characters.length <= maxLength
    ? plain
    : `${characters.slice(0, maxLength - 1).join("").trimEnd()}…`;
}
