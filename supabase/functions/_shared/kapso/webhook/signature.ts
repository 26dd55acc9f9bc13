/**
 * Signatures of Kapso's webhooks: lowercase hex HMAC-SHA256 of the raw body under the webhook's
 * `secret_key`. The signature covers no header and no time: it proves where a body comes from, and
 * message ids keep repeats out.
 *
 * @module
 */

/**
 * Checks a signature against every secret that is valid now: two during a rotation.
 *
 * @param body The body as received; text that was parsed and serialized again has other bytes.
 * @param signature The header's value, with or without `sha256=`.
 * @param secrets The candidates. An empty one never matches.
 * @returns The secret that made the signature, or undefined.
 */
export async function verifySignature(
  body: BufferSource,
  signature: string | null | undefined,
  secrets: readonly string[],
): Promise<string | undefined> {
  const digest = parseHex(signature?.trim().replace(/^sha256=/i, "") ?? "");
  if (digest === undefined) return undefined;
  for (const secret of secrets) {
    if (secret === "") continue;
    const key = await importKey(secret, "verify");
    // Compares in constant time, unlike a comparison of two texts.
    if (await crypto.subtle.verify("HMAC", key, digest, body)) return secret;
  }
  return undefined;
}

/**
 * The signature of a body, as Kapso writes it.
 *
 * @param body The bytes that are sent.
 * @param secret The webhook's `secret_key`.
 */
export async function signBody(body: BufferSource, secret: string): Promise<string> {
  const key = await importKey(secret, "sign");
  const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, body));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function importKey(secret: string, usage: "sign" | "verify"): Promise<CryptoKey> {
  return crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(secret),
    { name: "HMAC", hash: "SHA-256" },
    false,
    [usage],
  );
}

/** 32 bytes from 64 hexadecimal digits. */
function parseHex(text: string): BufferSource | undefined {
  if (!/^[0-9a-f]{64}$/i.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g)!, (pair) => parseInt(pair, 16));
}
