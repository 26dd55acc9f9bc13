/**
 * What requests need beyond their contract.
 *
 * @module
 */
import { MAX_CONTENT_BYTES } from "../_shared/contracts/message.ts";
import { isAtMostBytes } from "../_shared/contracts/text.ts";
import { AppError } from "../_shared/http/errors.ts";
import { phoneDigits } from "../_shared/phone/digits.ts";

/**
 * The key that sessions know a customer by: the digits of a phone number in any spelling, also URL-encoded,
 * as in a form (a plus for a space) or once too often; or another identifier without spaces around it.
 */
export function participantKey(identifier: string): string {
  return phoneDigits(identifier) ?? phoneDigits(urlDecoded(identifier)) ?? identifier.trim();
}

function urlDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

/**
 * Makes sure that a message is not too long.
 *
 * @throws {AppError} message_too_large (413).
 */
export function requireMessageSize(content: string): void {
  if (isAtMostBytes(content, MAX_CONTENT_BYTES)) return;
  throw new AppError(
    413,
    "message_too_large",
    `content must be at most ${MAX_CONTENT_BYTES / 1024} KB`,
  );
}
