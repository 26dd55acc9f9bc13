/**
 * Texts of strangers, human or not, as plain text: no links, no markup, no control characters. Pure.
 *
 * @module
 */

const TAG = /<\/?[a-z!][^<>]*>/gi;
const MARKDOWN_LINK = /!?\[([^\]]*)\]\((?:[^()]|\([^()]*\))*\)/g;
const LINK =
  /[a-z][a-z0-9+.-]*:\/\/\S*|\b(?:data|javascript|vbscript|mailto|tel|sms|whatsapp):\S*/gi;
// Without a scheme: with www, with a path, or with one of the endings that fraud likes.
const BARE_LINK =
  /\b(?:www\.\S+|(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}\/\S*|(?:[\p{L}\p{N}-]+\.)+(?:com|net|org|info|biz|io|co|me|app|dev|ai|ly|gl|link|click|top|xyz|site|shop|store|online|live|ru|cn|br|mx|id|de)\b)/giu;
const MARKUP = /[*_`~#|<>[\]{}\\]+/g;
// Controls, invisible characters and those that change the direction of what follows.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}]/gu;

/**
 * A text without what could be clicked, rendered or run, on one line.
 *
 * @param maxLength Characters at most; what is longer ends with an ellipsis.
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
    // Taking something away may have made a link of what stood around it.
    .replace(LINK, " ")
    .replace(/\s+/g, " ")
    .replace(/ ([.,;:!?])/g, "$1")
    .trim();
  const characters = [...plain];
  return characters.length <= maxLength
    ? plain
    : `${characters.slice(0, maxLength - 1).join("").trimEnd()}…`;
}
