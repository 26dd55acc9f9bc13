/**
 * Credentials of providers, encrypted as they lie in the database: AES-GCM under CREDENTIALS_KEY, a
 * random nonce of 12 bytes followed by the ciphertext.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const NONCE_BYTES = 12;

/** Encrypts and decrypts with one key. */
export interface CredentialBox {
  /** @returns nonce and ciphertext, in base64. */
  seal(text: string): Promise<string>;
  /** @throws {Error} if it was changed, or sealed with another key. */
  open(sealed: string): Promise<string>;
}

/**
 * A box for a key.
 *
 * @param key 32 random bytes in base64, e.g. from `openssl rand -base64 32`.
 * @throws {Error} if the key is not that.
 */
export async function createCredentialBox(key: string): Promise<CredentialBox> {
  const bytes = Buffer.from(key, "base64");
  if (bytes.length !== 32) {
    throw new Error(`CREDENTIALS_KEY must be 32 bytes in base64: it has ${bytes.length}`);
  }
  const cryptoKey = await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, [
    "encrypt",
    "decrypt",
  ]);
  return {
    async seal(text) {
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
      const sealed = await crypto.subtle.encrypt(
        { name: "AES-GCM", iv: nonce },
        cryptoKey,
        new TextEncoder().encode(text),
      );
      return Buffer.concat([nonce, new Uint8Array(sealed)]).toString("base64");
    },
    async open(sealed) {
      const data = Buffer.from(sealed, "base64");
      const text = await crypto.subtle.decrypt(
        { name: "AES-GCM", iv: data.subarray(0, NONCE_BYTES) },
        cryptoKey,
        data.subarray(NONCE_BYTES),
      );
      return new TextDecoder().decode(text);
    },
  };
}
