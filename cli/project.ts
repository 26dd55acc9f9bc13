/**
 * The Supabase project to work on: the one that the environment names, otherwise the one that `deno task start`
 * runs on this machine.
 *
 * @module
 */

import { join } from "node:path";

import { Lock } from "../local/lock.ts";
import { loadSecrets } from "../local/secrets.ts";
import { CommandError, usageError } from "./command_error.ts";
import { isHeaderSafe } from "./options.ts";
import { readSecretKey } from "./secret_key.ts";

/** A project, with the key that bypasses row level security. */
export interface Project {
  /** Without a slash at its end. */
  url: string;
  serviceKey: string;
}

/**
 * Finds the project.
 *
 * @param env `SUPABASE_URL` and `SUPABASE_SECRET_KEY`, both or neither.
 * @param folder The folder whose `.local/` may have a running stack.
 * @throws {CommandError} if there is none, or one of the two variables is missing.
 */
export async function findProject(
  env: Record<string, string | undefined>,
  folder: string,
): Promise<Project> {
  const url = env.SUPABASE_URL?.trim();
  const serviceKey = readSecretKey(env);
  if (!url && !serviceKey) return await findLocal(join(folder, ".local"));
  if (!url || !serviceKey) {
    throw usageError(
      `SUPABASE_${url ? "SECRET_KEY" : "URL"} is not set. Set both SUPABASE_URL and ` +
        "SUPABASE_SECRET_KEY, or neither to use the project of deno task start.",
    );
  }
  const address = readProjectUrl(url);
  if (!isHeaderSafe(serviceKey)) {
    throw usageError("SUPABASE_SECRET_KEY has characters that no key has.");
  }
  return { url: address, serviceKey };
}

/**
 * Reads the address of a project.
 *
 * @returns It without a slash at its end.
 * @throws {CommandError} with exit code 2 if it is none.
 */
export function readProjectUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/u.test(url.protocol) || url.username !== "") {
    throw usageError(
      "SUPABASE_URL is not an address like https://<project>.supabase.co or http://127.0.0.1:54321.",
    );
  }
  return url.origin + url.pathname.replace(/\/+$/u, "");
}

async function findLocal(localDir: string): Promise<Project> {
  const missing = new CommandError(
    "No project is running on this machine. Start it with deno task start, or set SUPABASE_URL and " +
      "SUPABASE_SECRET_KEY for another one.",
  );
  try {
    await Deno.stat(join(localDir, "secrets.json"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw missing;
    throw error;
  }
  // A stack that has ended leaves its address behind, where another program may listen by now. But the system
  // releases its lock however it ended.
  const attempt = await Lock.tryTake(join(localDir, "stack.lock"));
  if ("lock" in attempt) {
    attempt.lock.release();
    throw missing;
  }
  if (attempt.holder === undefined) {
    throw new CommandError("The project on this machine is still starting. Try again in a moment.");
  }
  const { secret_key } = await loadSecrets(localDir);
  return { url: attempt.holder.api_url, serviceKey: secret_key };
}
