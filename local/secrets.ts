/**
 * The secrets of the local stack: generated once and stored in `.local/secrets.json`, which only its owner can
 * read, so that they survive restarts. A throw-away stack generates its own and stores none.
 *
 * @module
 */

import { join } from "node:path";
import * as z from "zod";
import { CommandError } from "../cli/command_error.ts";

const secretsSchema = z.object({
  publishable_key: z.string().startsWith("sb_publishable_"),
  secret_key: z.string().startsWith("sb_secret_"),
  jwt_secret: z.string().min(32),
  database_password: z.string().min(16),
  /** AES-256 key of stored provider credentials: 32 bytes, base64. */
  credentials_key: z.base64().length(44),
  kapso_webhook_secret: z.string().min(16),
});

/** The secrets of the stack. */
export type Secrets = z.output<typeof secretsSchema>;

/** Generates a set of secrets. */
export function generateSecrets(): Secrets {
  return {
    publishable_key: `sb_publishable_${randomHex(16)}`,
    secret_key: `sb_secret_${randomHex(24)}`,
    jwt_secret: randomHex(32),
    database_password: randomHex(16),
    credentials_key: crypto.getRandomValues(new Uint8Array(32)).toBase64(),
    kapso_webhook_secret: randomHex(24),
  };
}

/**
 * Reads the project's secrets, or generates them if there are none.
 *
 * @throws {CommandError} if the file is damaged. It is not replaced, because it holds the database password and
 * the key that encrypts stored credentials.
 */
export async function loadSecrets(localDir: string): Promise<Secrets> {
  const path = join(localDir, "secrets.json");
  try {
    return secretsSchema.parse(JSON.parse(await Deno.readTextFile(path)));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      throw new CommandError(
        `${path} cannot be used (${
          error instanceof Error ? error.message : error
        }). Repair it, or ` +
          `delete the folder ${localDir} to start over with an empty database.`,
      );
    }
  }
  const secrets = generateSecrets();
  await Deno.writeTextFile(path, JSON.stringify(secrets, null, 2) + "\n", {
    mode: 0o600,
    createNew: true,
  });
  return secrets;
}

function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
