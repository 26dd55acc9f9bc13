/**
 * Hashes of secrets, and their comparison.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";

/** SHA-256 of a text in UTF-8, as lowercase hexadecimal. */
export async function sha256Hex(text: string): Promise<string> {
  return (await sha256(text)).toString("hex");
}

/** Compares two secrets of any length in constant time. */
export async function isSameSecret(given: string, expected: string): Promise<boolean> {
  // timingSafeEqual wants equal lengths, and the length of a secret is a secret too.
  return timingSafeEqual(await sha256(given), await sha256(expected));
}

/** Whether a secret is one of some, in a time that tells neither which nor how much of it was right. */
export async function isOneOfSecrets(
  given: string,
  expected: readonly string[],
): Promise<boolean> {
  const matches = await Promise.all(expected.map((secret) => isSameSecret(given, secret)));
  return matches.includes(true);
}

async function sha256(text: string): Promise<Buffer> {
  return Buffer.from(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
