/**
 * The secrets of connections: sealed with the key of the source in the files, and with the key of the target after an
 * import.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  createCredentialCipher,
  type CredentialCipher,
} from "../../supabase/functions/_shared/auth/credentials.ts";
import { usageError } from "../command_error.ts";
import type { Sql } from "./database.ts";
import type { Manifest } from "./manifest.ts";

const TABLE = "private.connection_secrets";
/** Columns that hold text under CREDENTIALS_KEY. */
export const SEALED = ["webhook_secret", "previous_webhook_secret", "kapso_api_key"] as const;

/** A secret as the target keeps it. */
export interface SealedSecret {
  readonly connectionId: string;
  readonly column: typeof SEALED[number];
  readonly sealed: Uint8Array;
}

/**
 * Opens the secrets of an export with the key of the source and seals them with that of the target.
 *
 * @param env `SOURCE_CREDENTIALS_KEY` and `TARGET_CREDENTIALS_KEY`, where there are secrets.
 * @throws {CommandError} if a key is missing or is not the one.
 */
export async function resealSecrets(
  target: Sql,
  folder: string,
  exported: Manifest,
  env: Record<string, string | undefined>,
): Promise<SealedSecret[]> {
  if (exported.sealedConnections === 0) return [];
  const from = await cipherOf(env, "SOURCE_CREDENTIALS_KEY");
  const to = await cipherOf(env, "TARGET_CREDENTIALS_KEY");
  await checkTargetKey(target, to);
  const secrets: SealedSecret[] = [];
  for (const { sealed, ...secret } of await readSealed(folder, exported)) {
    const text = await opened(from, sealed, "SOURCE_CREDENTIALS_KEY", "source");
    secrets.push({ ...secret, sealed: Buffer.from(await to.encrypt(text), "base64") });
  }
  return secrets;
}

/** Stores them in the place of those of the source. */
export async function storeSecrets(sql: Sql, secrets: readonly SealedSecret[]): Promise<void> {
  for (const { connectionId, column, sealed } of secrets) {
    await sql`
      update private.connection_secrets set ${sql({ [column]: sealed })}
      where connection_id = ${connectionId}`;
  }
}

async function cipherOf(
  env: Record<string, string | undefined>,
  variable: string,
): Promise<CredentialCipher> {
  const key = env[variable]?.trim();
  if (!key) {
    throw usageError(
      `${variable} is not set. The export holds secrets of connections, encrypted with the key of the source; the ` +
        "import encrypts them with the key of the target. Set both.",
    );
  }
  try {
    return await createCredentialCipher(key);
  } catch {
    throw usageError(`${variable} must be 32 bytes in base64.`);
  }
}

async function opened(
  cipher: CredentialCipher,
  sealed: Uint8Array,
  variable: string,
  side: string,
): Promise<string> {
  try {
    return await cipher.decrypt(Buffer.from(sealed).toString("base64"));
  } catch {
    throw usageError(
      `${variable} is not the CREDENTIALS_KEY of the ${side}: it opens none of its secrets. Nothing was imported.`,
    );
  }
}

/** A key that does not open what the target has would make the moved secrets unreadable there. */
async function checkTargetKey(target: Sql, cipher: CredentialCipher): Promise<void> {
  const [found] = await target<{ sealed: Uint8Array }[]>`
    select coalesce(webhook_secret, kapso_api_key) as sealed from private.connection_secrets
    where webhook_secret is not null or kapso_api_key is not null
    order by updated_at desc limit 1`;
  if (found) await opened(cipher, found.sealed, "TARGET_CREDENTIALS_KEY", "target");
}

async function readSealed(folder: string, exported: Manifest): Promise<SealedSecret[]> {
  const columns = exported.columns[TABLE]!;
  const secrets: SealedSecret[] = [];
  for (const { table, file } of exported.chunks) {
    if (table !== TABLE || file === null) continue;
    const text = gunzipSync(await Deno.readFile(join(folder, file))).toString("latin1");
    for (const line of text.split("\n").filter(Boolean)) {
      const fields = line.split("\t");
      for (const column of SEALED) {
        // COPY writes the backslash of \x twice.
        const [, hex] = /^\\\\x([0-9a-f]+)$/u.exec(fields[columns.indexOf(column)]!) ?? [];
        if (hex === undefined) continue;
        secrets.push({
          connectionId: fields[columns.indexOf("connection_id")]!,
          column,
          sealed: Buffer.from(hex, "hex"),
        });
      }
    }
  }
  return secrets;
}
