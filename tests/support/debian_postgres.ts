/**
 * Debian's PostgreSQL 15 with pg_cron, the nearest to a hosted database without Docker, and pgbouncer before it. `.ci/run`
 * installs them: the packages postgresql-15, postgresql-15-cron and pgbouncer.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import postgres from "postgres";
import { findFreePort } from "../../local/ports.ts";
import { findPostgresUser, makeThrowawayHome } from "../../local/postgres/os_user.ts";
import { type ScratchServer, startScratchServer } from "../../local/postgres/scratch_server.ts";
import { eventually } from "./eventually.ts";

/** Where Debian puts the programs of version 15. */
export const DEBIAN_15 = "/usr/lib/postgresql/15/bin";
const PGBOUNCER = "/usr/sbin/pgbouncer";

/** What the tests of this module need. */
export const DEBIAN_PARTS: readonly string[] = [
  join(DEBIAN_15, "postgres"),
  join(DEBIAN_15, "../lib/pg_cron.so"),
  PGBOUNCER,
];

/** Returns those of the files that are not installed. */
export function missingPrograms(files: readonly string[]): string[] {
  return files.filter((file) => !existsSync(file));
}

/** The name of a test, which says so if it is skipped. */
export function named(name: string, missing: readonly string[]): string {
  return missing.length === 0 ? name : `SKIPPED, ${missing.join(" and ")} not installed: ${name}`;
}

/**
 * pg_net as hosted projects have it, but for the network: it keeps what it was asked to send. It is trusted, because
 * `postgres` may create it there, and what it makes belongs to the superuser.
 */
const PG_NET_CONTROL = `
comment = 'Records HTTP requests'
default_version = '0.14.0'
relocatable = false
trusted = true
`;
const PG_NET = `
create schema net;
create table net.recorded_requests (
  id bigint generated always as identity primary key,
  url text, body jsonb, headers jsonb, timeout_milliseconds integer
);
create table net._http_response (
  id bigint, status_code integer, content_type text, headers jsonb, content text, timed_out boolean, error_msg text,
  created timestamptz not null default now()
);
grant all on net._http_response to postgres;
create function net.http_post(
  url text, body jsonb default '{}', params jsonb default '{}',
  headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds integer default 5000
)
returns bigint language sql volatile security definer set search_path = '' as $$
  insert into net.recorded_requests (url, body, headers, timeout_milliseconds)
  values (http_post.url, http_post.body, http_post.headers, http_post.timeout_milliseconds) returning id
$$;
revoke all on function net.http_post(text, jsonb, jsonb, jsonb, integer) from public;
`;

/**
 * Starts Debian's PostgreSQL with pg_net available, and pg_cron loaded unless told otherwise. It runs from a copy, because
 * nothing is added to the installed one.
 */
export async function startDebianPostgres(
  { hasCron = true }: { readonly hasCron?: boolean } = {},
): Promise<ScratchServer> {
  await using cleanup = new AsyncDisposableStack();
  const folder = await makeThrowawayHome(await findPostgresUser());
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  // The server finds its files by their place relative to the program.
  const programs = join(folder, "lib/postgresql/15");
  const shared = join(folder, "share/postgresql/15");
  await copy(dirname(DEBIAN_15), programs);
  await copy("/usr/share/postgresql/15", shared);
  const extensions = join(shared, "extension");
  await Deno.writeTextFile(join(extensions, "pg_net.control"), PG_NET_CONTROL);
  await Deno.writeTextFile(join(extensions, "pg_net--0.14.0.sql"), PG_NET);
  const binaries = {
    initdb: join(programs, "bin/initdb"),
    postgres: join(programs, "bin/postgres"),
  };
  const server = cleanup.use(
    await startScratchServer(
      binaries,
      hasCron
        ? {
          shared_preload_libraries: "pg_cron",
          "cron.database_name": "postgres",
          // No connection, which would need a password.
          "cron.use_background_workers": "on",
          max_worker_processes: "20",
        }
        : {},
    ),
  );
  const owned = cleanup.move();
  return {
    url: server.url,
    password: server.password,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A running pgbouncer. */
export interface PgBouncer extends AsyncDisposable {
  /** The address of the same database through it, for `postgres`. */
  readonly url: string;
}

/** Starts pgbouncer before a server, so that few connections serve all clients, each for a transaction at a time. */
export async function startPgBouncer(server: ScratchServer): Promise<PgBouncer> {
  await using cleanup = new AsyncDisposableStack();
  const user = await findPostgresUser();
  const folder = await makeThrowawayHome(user);
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  const port = findFreePort();
  const users = join(folder, "users.txt");
  const settings = join(folder, "pgbouncer.ini");
  await Deno.writeTextFile(users, `"postgres" "${server.password}"\n`);
  await Deno.writeTextFile(
    settings,
    `[databases]
postgres = host=127.0.0.1 port=${new URL(server.url).port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
default_pool_size = 3
`,
  );
  const process = new Deno.Command(PGBOUNCER, {
    args: ["--quiet", settings],
    ...user,
    cwd: folder,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  cleanup.defer(async () => {
    process.kill("SIGTERM");
    await process.status;
  });
  const url = new URL(server.url);
  url.username = "postgres";
  url.port = `${port}`;
  // Statements that are prepared belong to a connection, and that may be another one's next.
  url.searchParams.set("prepare", "false");
  await eventually("pgbouncer answers", async () => {
    const sql = postgres(url.href, { max: 1, connect_timeout: 2 });
    try {
      await sql`select 1`;
      return true;
    } catch {
      return false;
    } finally {
      await sql.end();
    }
  });
  const owned = cleanup.move();
  return { url: url.href, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(dirname(to), { recursive: true });
  const { success, stderr } = await new Deno.Command("cp", { args: ["-a", from, to] }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
