/**
 * Encryption of the credentials of providers in the database: AES-GCM under CREDENTIALS_KEY, a random nonce
 * of 12 bytes followed by the ciphertext.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const NONCE_BYTES = 12;

/** Encrypts and decrypts with one key. */
export interface CredentialCipher {
  /** @returns Nonce and ciphertext, in base64. */
  encrypt(text: string): Promise<string>;
  /** @throws {Error} if the text was changed, or encrypted with another key. */
  decrypt(encrypted: string): Promise<string>;
}

/**
 * Creates a cipher with a key.
 *
 * @param key 32 random bytes in base64, e.g. from `openssl rand -base64 32`.
 * @throws {Error} if the key has another length.
 */
export async function createCredentialCipher(key: string): Promise<CredentialCipher> {
  const bytes = Buffer.from(key, "base64");
  if (bytes.length !== 32) {
    throw new Error(`CREDENTIALS_KEY must be 32 bytes in base64: it has ${bytes.length}`);
  }
  const cryptoKey = await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, [
    "encrypt",
    "decrypt",
  ]);
  return {
    async encrypt(text) {
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
      const ciphertext = await crypto.subtle.encrypt(
        { name: "AES-GCM", iv: nonce },
        cryptoKey,
        new TextEncoder().encode(text),
      );
      return Buffer.concat([nonce, new Uint8Array(ciphertext)]).toString("base64");
    },
    async decrypt(encrypted) {
      const data = Buffer.from(encrypted, "base64");
      const text = await crypto.subtle.decrypt(
        { name: "AES-GCM", iv: data.subarray(0, NONCE_BYTES) },
        cryptoKey,
        data.subarray(NONCE_BYTES),
      );
      return new TextDecoder().decode(text);
    },
  };
}
