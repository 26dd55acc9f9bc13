/**
 * Creates an empty database cluster with `initdb`.
 *
 * @module
 */

import { CommandError } from "../../cli/command_error.ts";
import { LOOPBACK } from "../ports.ts";
import type { PostgresBinaries } from "./binaries.ts";
import type { PostgresUser } from "./os_user.ts";
import { type LoginRole, SUPERUSER } from "./roles.ts";

/** What `createCluster` needs. */
export interface CreateClusterOptions {
  readonly binaries: PostgresBinaries;
  /** Where to create it: a path that does not exist, in a folder that does. */
  readonly dataDir: string;
  readonly user: PostgresUser;
  /** Password of its superuser, `supabase_admin`. */
  readonly password: string;
  /** Do not wait for the disk. Right for data that is removed at the end. */
  readonly isThrowaway: boolean;
  readonly signal: AbortSignal;
}

/**
 * Creates a cluster whose databases are UTF-8 and know which characters are letters (`pg_trgm` ignores all
 * others), on a machine of any language.
 *
 * @throws {CommandError} with the output of `initdb` when that fails.
 */
export async function createCluster(options: CreateClusterOptions): Promise<void> {
  const { binaries, dataDir, user, password, isThrowaway, signal } = options;
  const locale = await findUtf8Locale();
  await Deno.mkdir(dataDir, { mode: 0o700 });
  const passwordFile = `${dataDir}.password`;
  try {
    await Deno.writeTextFile(passwordFile, password, { mode: 0o600 });
    if (user) {
      await Deno.chown(dataDir, user.uid, user.gid);
      await Deno.chown(passwordFile, user.uid, user.gid);
    }
    const { success, stderr } = await new Deno.Command(binaries.initdb, {
      args: [
        `--pgdata=${dataDir}`,
        `--username=${SUPERUSER}`,
        `--pwfile=${passwordFile}`,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        `--locale=${locale}`,
        "--lc-messages=C",
        "--no-instructions",
        ...(isThrowaway ? ["--no-sync"] : []),
      ],
      ...user,
      cwd: dataDir,
      stdin: "null",
      signal,
    }).output();
    if (!success) {
      throw new CommandError(
        `The database could not be created in ${dataDir}:\n${new TextDecoder().decode(stderr)}`,
      );
    }
  } catch (error) {
    await Deno.remove(dataDir, { recursive: true });
    throw error;
  } finally {
    await Deno.remove(passwordFile).catch(() => {});
  }
}

/** The address of the database that `createCluster` made, for a server on a port and a role that logs in. */
export function databaseUrl(port: number, password: string, role: LoginRole = "postgres"): string {
  return `postgresql://${role}:${password}@${LOOPBACK}:${port}/postgres`;
}

async function findUtf8Locale(): Promise<string> {
  // The names of one locale differ between systems: C.UTF-8 on Debian 12, C.utf8 on Debian 13.
  const wanted = ["c.utf8", "en_us.utf8"];
  let available: string[] = [];
  try {
    const { stdout } = await new Deno.Command("locale", { args: ["-a"], stderr: "null" }).output();
    available = new TextDecoder().decode(stdout).split("\n").map((line) => line.trim());
  } catch { /* A system without the program `locale`. */ }
  for (const name of wanted) {
    const found = available.find((each) => each.toLowerCase().replace("-", "") === name);
    if (found) return found;
  }
  const other = available.find((each) => /\.utf-?8$/i.test(each));
  // glibc has C.UTF-8 built in, whether `locale` lists it or not.
  return other ?? "C.UTF-8";
}
