/**
 * An empty Postgres server for one piece of work, such as comparing two schemas.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { Lock } from "../lock.ts";
import { findFreePort } from "../ports.ts";
import { installPostgres, type PostgresBinaries } from "./binaries.ts";
import { createCluster, databaseUrl } from "./cluster.ts";
import { PostgresServer } from "./server.ts";
import { SUPERUSER } from "./roles.ts";
import { chooseHome, findPostgresUser, makeThrowawayHome } from "./os_user.ts";

/** A running server with the database `postgres` and nothing in it; stopped and removed when disposed of. */
export interface ScratchServer extends AsyncDisposable {
  /** Address of the database `postgres`, as its superuser. */
  readonly url: string;
  /** The password of the superuser. */
  readonly password: string;
}

/**
 * Starts a server on a new cluster, on a free port.
 *
 * @param binaries The programs to use; without them, those that come with the project.
 * @param settings More settings of the server.
 * @throws {CommandError} if the cluster cannot be created or the server does not start.
 */
export async function startScratchServer(
  binaries?: PostgresBinaries,
  settings: Readonly<Record<string, string>> = {},
): Promise<ScratchServer> {
  await using cleanup = new AsyncDisposableStack();
  const user = await findPostgresUser();
  const programs = binaries ?? await installedBinaries();
  const folder = await makeThrowawayHome(user);
  cleanup.defer(() => Deno.remove(folder, { recursive: true }).catch(() => {}));
  const dataDir = join(folder, "data");
  const password = crypto.randomUUID();
  const { signal } = new AbortController();
  await createCluster({ binaries: programs, dataDir, user, password, isThrowaway: true, signal });
  const port = findFreePort();
  const options = { binaries: programs, dataDir, user, port, isThrowaway: true, settings };
  const server = await PostgresServer.start(options);
  cleanup.defer(() => server.stop());
  const owned = cleanup.move();
  return {
    url: databaseUrl(port, password, SUPERUSER),
    password,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Returns the programs of the project, after installing them if necessary. */
export async function installedBinaries(): Promise<PostgresBinaries> {
  const localDir = resolve(import.meta.dirname!, "../../.local");
  await Deno.mkdir(localDir, { recursive: true });
  const home = await chooseHome(localDir, await findPostgresUser());
  return await Lock.hold(join(home, "postgres.lock"), () => installPostgres(home));
}
