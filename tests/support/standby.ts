/**
 * A primary with the project's schema and a hot standby that follows it by streaming replication, on Debian's
 * PostgreSQL 15: what a project with a read replica is, without the API before it.
 *
 * @module
 */

import { join } from "node:path";
import { createCluster, databaseUrl } from "../../local/postgres/cluster.ts";
import {
  findPostgresUser,
  makeThrowawayHome,
  type PostgresUser,
} from "../../local/postgres/os_user.ts";
import { SUPERUSER } from "../../local/postgres/roles.ts";
import { findFreePort, LOOPBACK } from "../../local/ports.ts";
import { processStatus, sendSignal } from "../../local/processes.ts";
import { type Project, readProject } from "../../local/project.ts";
import { generateSecrets, type Secrets } from "../../local/secrets.ts";
import { connect, type Sql } from "./database.ts";
import { createSchema } from "./own_database.ts";
import { DEBIAN_15 } from "./debian_postgres.ts";
import { eventually } from "./eventually.ts";

const ROOT = join(import.meta.dirname!, "../..");
const program = (name: string) => join(DEBIAN_15, name);

/** What this module needs. */
export const STANDBY_PROGRAMS: readonly string[] = [
  "initdb",
  "postgres",
  "pg_basebackup",
  "pg_ctl",
].map(program);

/** The name by which the primary knows the standby. */
const STANDBY = "standby";

/** A server that nothing restarts. */
export interface Server {
  /** Its address for `postgres`, the owner of the schema. */
  readonly url: string;
  /** Its address for the superuser. */
  readonly adminUrl: string;
  readonly dataDir: string;
}

/** A primary and its standby; stopped and removed when disposed of. */
export interface ReplicatedDatabase extends AsyncDisposable {
  readonly primary: Server;
  readonly standby: Server;
  /** Whose tokens and keys a REST API on it accepts. */
  readonly secrets: Secrets;
  readonly project: Project;
}

/** Starts both. The disk is waited for, as on a server whose data stay. */
export async function startReplicatedDatabase(): Promise<ReplicatedDatabase> {
  await using cleanup = new AsyncDisposableStack();
  const user = await findPostgresUser();
  const folder = await makeThrowawayHome(user);
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  const password = crypto.randomUUID();

  const dataDir = join(folder, "primary");
  const binaries = { initdb: program("initdb"), postgres: program("postgres") };
  const { signal } = new AbortController();
  await createCluster({ binaries, dataDir, user, password, isThrowaway: true, signal });
  const primary = cleanup.use(await startServer(dataDir, user, password));
  const project = await readProject(ROOT);
  const secrets = generateSecrets();
  await createSchema(primary.adminUrl, project, secrets);

  const copy = join(folder, STANDBY);
  await run("pg_basebackup", [
    `--dbname=${primary.adminUrl}`,
    `--pgdata=${copy}`,
    "--checkpoint=fast",
    "--no-sync",
    "--wal-method=stream",
    `--slot=${STANDBY}`,
    "--create-slot",
    "--write-recovery-conf",
  ], user);
  const standby = cleanup.use(await startServer(copy, user, password, { cluster_name: STANDBY }));
  const owned = cleanup.move();
  return {
    primary,
    standby,
    secrets,
    project,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The shell between a test and a server: stops the server when the test ends, also when it is killed. */
const GUARD = `
"$@" </dev/null &
server=$!
read -r _
kill -s QUIT "$server"
wait "$server"
`;

async function startServer(
  dataDir: string,
  user: PostgresUser,
  password: string,
  settings: Record<string, string> = {},
): Promise<Server & AsyncDisposable> {
  const port = findFreePort();
  const all = {
    port: `${port}`,
    listen_addresses: LOOPBACK,
    unix_socket_directories: "",
    timezone: "UTC",
    lc_messages: "C",
    // A long read on the standby is not cancelled by a vacuum of the primary.
    hot_standby_feedback: "on",
    // After its primary is gone, the standby asks for it again this often, also while it is promoted.
    wal_retrieve_retry_interval: "200ms",
    ...settings,
  };
  const guard = new Deno.Command("/bin/sh", {
    args: [
      "-c",
      GUARD,
      "postgres-guard",
      program("postgres"),
      "-D",
      dataDir,
      ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    ...user,
    cwd: dataDir,
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const server = {
    url: databaseUrl(port, password),
    adminUrl: databaseUrl(port, password, SUPERUSER),
    dataDir,
    [Symbol.asyncDispose]: async () => {
      await guard.stdin.close();
      await guard.status;
    },
  };
  try {
    await eventually("the server answers", () => answers(server.adminUrl));
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

async function answers(url: string): Promise<boolean> {
  const sql = connect(url, { max: 1, connect_timeout: 2, fetch_types: false });
  try {
    await sql`select 1`;
    return true;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function run(name: string, args: string[], user: PostgresUser): Promise<void> {
  const { success, stderr } = await new Deno.Command(program(name), {
    args,
    ...user,
    cwd: "/",
    stdout: "null",
  }).output();
  if (!success) throw new Error(`${name}: ${new TextDecoder().decode(stderr)}`);
}

/** Waits until the standby has everything that the primary has written by now. */
export async function catchUp(primary: Sql, standby: Sql): Promise<void> {
  const [written] = await primary<{ lsn: string }[]>`select pg_current_wal_lsn()::text as lsn`;
  await eventually("the standby has caught up", async () => {
    const [row] = await standby<{ has_it: boolean }[]>`
      select pg_last_wal_replay_lsn() >= ${written!.lsn}::pg_lsn as has_it`;
    return row!.has_it;
  });
}

/** Cuts the standby off, as a broken line does: it receives nothing until the returned function is called. */
export async function cutOff(standby: Server): Promise<() => void> {
  const admin = connect(standby.adminUrl, { max: 1 });
  const [receiver] = await admin<{ pid: number }[]>`select pid from pg_stat_wal_receiver`;
  await admin.end();
  sendSignal(receiver!.pid, "SIGSTOP");
  return () => sendSignal(receiver!.pid, "SIGCONT");
}

/** Makes every commit on the primary wait until the standby has written it to its disk. */
export async function makeSynchronous(primary: Server): Promise<void> {
  const admin = connect(primary.adminUrl, { max: 1 });
  await admin.unsafe(`alter system set synchronous_standby_names = '${STANDBY}'`);
  await admin`select pg_reload_conf()`;
  await eventually("the standby is synchronous", async () => {
    const rows = await admin`select from pg_stat_replication where sync_state = 'sync'`;
    return rows.count === 1;
  });
  await admin.end();
}

/** Kills a server and all its sessions in one moment, as a machine that loses its power does. */
export async function killAtOnce(server: Server): Promise<void> {
  const [first] = (await Deno.readTextFile(join(server.dataDir, "postmaster.pid"))).split("\n");
  const postmaster = Number(first);
  const children: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    if ((await processStatus(pid))?.parent === postmaster) children.push(pid);
  }
  for (const pid of [postmaster, ...children]) sendSignal(pid, "SIGKILL");
}

/** Makes a standby the primary, and resolves when it accepts writes. */
export async function promote(standby: Server): Promise<void> {
  await run("pg_ctl", ["promote", "-D", standby.dataDir, "-w"], await findPostgresUser());
}
