/**
 * The user that Postgres runs as, and the folder for its files. Postgres refuses to run as root, so when root
 * starts the stack it runs as the user `postgres`, and that user must be able to reach its files.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { CommandError } from "../../cli/command_error.ts";
import { logInfo } from "../log.ts";

/** The user that owns the data and runs the server; undefined is the user who started the stack. */
export type PostgresUser = { readonly uid: number; readonly gid: number } | undefined;

/**
 * Finds the user to run Postgres as, and creates the system user `postgres` if root has none.
 *
 * @throws {CommandError} if that user is needed and cannot be created.
 */
export async function findPostgresUser(): Promise<PostgresUser> {
  if (Deno.uid() !== 0) return undefined;
  const existing = await lookUp("postgres");
  if (existing) return existing;
  logInfo("creating the system user postgres, because Postgres does not run as root");
  const made = await run("useradd", ["--system", "--user-group", "--no-create-home", "postgres"]) ||
    await run("adduser", ["-S", "-D", "-H", "postgres"]);
  const user = made ? await lookUp("postgres") : undefined;
  if (user) return user;
  throw new CommandError(
    "Postgres does not run as root, and the system user postgres could not be created. Create it " +
      "(useradd --system postgres), or start the stack as another user.",
  );
}

/**
 * Chooses the folder for the server's files: the project's `.local`, or, if the user of Postgres cannot enter
 * it (for a project below `/root`, for example), one in `/var/tmp` named after the project's path.
 *
 * @throws {CommandError} if another user owns the folder in `/var/tmp`.
 */
export async function chooseHome(localDir: string, user: PostgresUser): Promise<string> {
  if (user === undefined || await canEnter(dirname(localDir))) return localDir;
  const digest = createHash("sha256").update(await Deno.realPath(localDir)).digest("hex");
  const home = join("/var/tmp", `conversations-${digest.slice(0, 12)}`);
  await Deno.mkdir(home, { mode: 0o755 }).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
  // All users may write to /var/tmp, so another one may have created the folder.
  const { isDirectory, uid } = await Deno.lstat(home);
  if (isDirectory && uid === Deno.uid()) return home;
  throw new CommandError(`${home} belongs to another user. Remove it, or move the project.`);
}

/** Creates a folder for a throw-away stack, which the user of Postgres can enter. */
export async function makeThrowawayHome(user: PostgresUser): Promise<string> {
  const options = { prefix: "conversations-" };
  const folder = await Deno.makeTempDir(options);
  if (user === undefined) return folder;
  if (await canEnter(dirname(folder))) {
    await Deno.chown(folder, user.uid, user.gid);
    return folder;
  }
  await Deno.remove(folder);
  const fallback = await Deno.makeTempDir({ ...options, dir: "/tmp" });
  await Deno.chown(fallback, user.uid, user.gid);
  return fallback;
}

/** Says whether any user can enter a folder and all folders above it. */
async function canEnter(folder: string): Promise<boolean> {
  for (let path = await Deno.realPath(folder);; path = dirname(path)) {
    const { mode } = await Deno.stat(path);
    if (mode !== null && (mode & 0o001) === 0) return false;
    if (dirname(path) === path) return true;
  }
}

async function lookUp(name: string): Promise<PostgresUser> {
  const [uid, gid] = await Promise.all(["-u", "-g"].map(async (flag) => {
    const { success, stdout } = await new Deno.Command("id", {
      args: [flag, name],
      stderr: "null",
    }).output();
    return success ? Number.parseInt(new TextDecoder().decode(stdout)) : undefined;
  }));
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

async function run(program: string, args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args, stderr: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
