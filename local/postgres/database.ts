/**
 * The database of the stack: installed, created, brought up to date and running.
 *
 * @module
 */

import { join } from "node:path";
import postgres from "postgres";
import { CommandError } from "../../cli/command_error.ts";
import { exists, removeIfPresent } from "../files.ts";
import { Lock } from "../lock.ts";
import { migrate } from "./migrate.ts";
import { findFreePort } from "../ports.ts";
import { installPostgres, type PostgresInstallation } from "./binaries.ts";
import { createCluster, databaseUrl } from "./cluster.ts";
import { PostgresServer } from "./server.ts";
import { chooseHome, findPostgresUser, makeThrowawayHome } from "./os_user.ts";
import type { Project } from "../project.ts";
import { ensureRealtimeSchema } from "../realtime/schema.ts";
import type { Secrets } from "../secrets.ts";
import { asRole, bootstrapSupabase, SUPERUSER } from "./roles.ts";
import { ensureSystemSchema } from "./system_schema.ts";
import { copyTemplate } from "./template.ts";

/** What `openDatabase` needs. */
export interface DatabaseOptions {
  readonly project: Project;
  readonly secrets: Secrets;
  /** Work on a copy that is removed at the end, with a free port. */
  readonly isThrowaway: boolean;
  /** Called when the server has lost its sessions. */
  readonly onLost: () => void;
  /** Called when the server is ready again after that. */
  readonly onRestart: () => void;
  readonly signal: AbortSignal;
}

/** A running database that has all migrations and the seed. */
export interface Database {
  /** Its address for `postgres`, the owner of the project's schema. */
  readonly url: string;
  readonly server: PostgresServer;
}

/**
 * Starts the database of a project: creates it if necessary, and applies new migrations.
 *
 * @throws {CommandError} if a step fails. Then the server is stopped.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const user = await findPostgresUser();
  const home = await chooseHome(options.project.localDir, user);
  const binaries = await Lock.hold(join(home, "postgres.lock"), () => installPostgres(home));
  const installation = { home, user, binaries };
  options.signal.throwIfAborted();
  return options.isThrowaway
    ? await openThrowaway(options, installation)
    : await openPersistent(options, installation);
}

async function openPersistent(
  options: DatabaseOptions,
  { home, user, binaries }: PostgresInstallation,
): Promise<Database> {
  const { project, secrets, signal, onLost, onRestart } = options;
  const dataDir = join(home, "data");
  if (!await exists(dataDir)) {
    // Created under another name and renamed, so that an interrupted start leaves no half-made cluster.
    const unfinished = join(home, "data.new");
    await removeIfPresent(unfinished);
    const password = secrets.database_password;
    await createCluster({
      binaries,
      user,
      dataDir: unfinished,
      password,
      isThrowaway: false,
      signal,
    });
    await Deno.rename(unfinished, dataDir);
  }
  const port = project.config.db.port;
  const server = await PostgresServer.start({ binaries, user, dataDir, port, onLost, onRestart });
  const url = databaseUrl(port, secrets.database_password);
  return await stopIfItFails(server, async () => {
    await prepareDatabase({ project, secrets, url, signal });
    return { url, server };
  });
}

async function openThrowaway(
  options: DatabaseOptions,
  installation: PostgresInstallation,
): Promise<Database> {
  const { project, secrets, signal, onLost, onRestart } = options;
  const { user, binaries } = installation;
  const folder = await makeThrowawayHome(user);
  const dataDir = join(folder, "data");
  try {
    const { password } = await copyTemplate({
      project,
      installation,
      target: dataDir,
      prepare: (url) => prepareDatabase({ project, secrets, url, signal }),
      signal,
    });
    signal.throwIfAborted();
    const port = findFreePort();
    const server = await PostgresServer.start({
      binaries,
      user,
      dataDir,
      port,
      onLost,
      onRestart,
      isThrowaway: true,
      removeWhenStopped: folder,
    });
    return { url: databaseUrl(port, password), server };
  } catch (error) {
    await removeIfPresent(folder);
    throw error;
  }
}

/** What `prepareDatabase` needs. */
interface PrepareOptions {
  readonly project: Project;
  readonly secrets: Secrets;
  readonly url: string;
  readonly signal: AbortSignal;
}

/**
 * Brings a running database up to date: first what Supabase provides, as its superuser, then the project's schema, as
 * its owner.
 */
export async function prepareDatabase(
  { project, secrets, url, signal }: PrepareOptions,
): Promise<void> {
  const admin = postgres(asRole(url, SUPERUSER), { max: 1, onnotice: () => {} });
  const owner = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await refuseOtherOwner(admin);
    const [known] = await admin`select from pg_roles where rolname = 'service_role'`;
    if (!known) await bootstrapSupabase(admin, decodeURIComponent(new URL(url).password));
    await ensureRealtimeSchema(admin);
    await ensureSystemSchema({ admin, databaseUrl: url, config: project.config, secrets });
    await migrate({ project, sql: owner, databaseUrl: url, signal });
  } finally {
    await Promise.all([admin, owner].map((sql) => sql.end({ timeout: 1 })));
  }
}

/**
 * Refuses data whose owner is a superuser named `postgres`, as earlier versions of this project made it.
 *
 * @throws {CommandError} that says what to do.
 */
async function refuseOtherOwner(admin: postgres.Sql): Promise<void> {
  try {
    await admin`select`;
  } catch (error) {
    // The password does not fit, or there is no such role: Postgres does not tell which.
    if (!(error instanceof postgres.PostgresError) || error.code !== "28P01") throw error;
    throw new CommandError(
      "The local database was made by another version of this project: it has no superuser " +
        `${SUPERUSER}, or one with another password. To start over with new data, delete .local; to ` +
        "keep the data, go back to the version that made it.",
    );
  }
}

async function stopIfItFails<T>(server: PostgresServer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await server.stop();
    throw error;
  }
}
