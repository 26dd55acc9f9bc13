/**
 * A complete database to copy throw-away databases from. Creating one with every migration takes seconds, copying
 * one takes a tenth of a second, and tests start many.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { PostgresInstallation } from "./binaries.ts";
import { readIfPresent } from "../files.ts";
import { Lock } from "../lock.ts";
import { databaseFiles } from "./migrate.ts";
import { findFreePort } from "../ports.ts";
import { createCluster, databaseUrl } from "./cluster.ts";
import { PostgresServer } from "./server.ts";
import type { Project } from "../project.ts";
import { REALTIME_SCHEMA } from "../realtime/schema.ts";

/** What `copyTemplate` needs. */
export interface CopyTemplateOptions {
  readonly project: Project;
  readonly installation: PostgresInstallation;
  /** The path of the copy, which must not exist. */
  readonly target: string;
  /** Applies everything to the new database at this address. */
  readonly prepare: (url: string) => Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * Copies the template, and creates it first if there is none for the present migrations and seed.
 *
 * @returns the password of the roles that log in to the copy.
 */
export async function copyTemplate(options: CopyTemplateOptions): Promise<{ password: string }> {
  const { project, installation, target, signal } = options;
  const folder = join(installation.home, "template");
  return await Lock.hold(join(installation.home, "template.lock"), async () => {
    signal.throwIfAborted();
    const fingerprint = await fingerprintOf(project);
    if (await readIfPresent(join(folder, "fingerprint")) !== fingerprint) {
      await Deno.remove(folder, { recursive: true }).catch(() => {});
      await Deno.mkdir(folder, { mode: 0o711 });
      await makeTemplate(options, folder);
      await Deno.writeTextFile(join(folder, "fingerprint"), fingerprint);
    }
    await cloneFolder(join(folder, "data"), target);
    return { password: await Deno.readTextFile(join(folder, "password")) };
  });
}

async function makeTemplate(options: CopyTemplateOptions, folder: string): Promise<void> {
  const { installation: { binaries, user }, signal } = options;
  const dataDir = join(folder, "data");
  const password = crypto.getRandomValues(new Uint8Array(16)).toHex();
  await Deno.writeTextFile(join(folder, "password"), password, { mode: 0o600 });
  await createCluster({ binaries, user, dataDir, password, isThrowaway: true, signal });
  const port = findFreePort();
  const server = await PostgresServer.start({
    binaries,
    user,
    dataDir,
    port,
    // Shut down cleanly, unlike a throw-away server: a copy must not begin with a recovery.
    isThrowaway: false,
  });
  try {
    await options.prepare(databaseUrl(port, password));
  } finally {
    await server.stop();
  }
}

/** Changes with everything the content of a prepared database depends on. */
async function fingerprintOf(project: Project): Promise<string> {
  const { migrations, seeds } = databaseFiles(project);
  const hash = createHash("sha256");
  const files = [
    join(project.supabaseDir, "config.toml"),
    ...migrations,
    ...seeds,
    // The versions of Postgres and of the package that creates the schema of Auth.
    join(import.meta.dirname!, "../..", "import_map.json"),
    join(import.meta.dirname!, "bootstrap.sql"),
    join(import.meta.dirname!, "roles.ts"),
    join(import.meta.dirname!, "system_schema.ts"),
    REALTIME_SCHEMA,
  ];
  for (const file of files) {
    const content = await Deno.readFile(file);
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

async function cloneFolder(from: string, to: string): Promise<void> {
  // `cp` keeps owners and modes, and shares the blocks where the file system can.
  const reflink = Deno.build.os === "darwin" ? ["-c"] : ["--reflink=auto"];
  for (const args of [["-a", ...reflink, from, to], ["-a", from, to]]) {
    const { success, stderr } = await new Deno.Command("cp", { args }).output();
    if (success) return;
    await Deno.remove(to, { recursive: true }).catch(() => {});
    if (args.length === 3) throw new Error(new TextDecoder().decode(stderr));
  }
}
