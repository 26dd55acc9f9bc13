/**
 * Databases of their own for test files that work on everything there is, such as all events or all days, and so would
 * meet the rows of other files. Each is a copy of one that has the whole schema and no sessions.
 *
 * @module
 */

import { join } from "node:path";
import postgres from "postgres";
import { applyFiles } from "../../cli/schema/databases.ts";
import { openDatabase } from "../../local/postgres/database.ts";
import { databaseFiles } from "../../local/postgres/migrate.ts";
import { asRole, bootstrapSupabase, SUPERUSER } from "../../local/postgres/roles.ts";
import { ensureSystemSchema } from "../../local/postgres/system_schema.ts";
import { type Project, readProject } from "../../local/project.ts";
import { ensureRealtimeSchema } from "../../local/realtime/schema.ts";
import { generateSecrets, type Secrets } from "../../local/secrets.ts";

const ROOT = join(import.meta.dirname!, "../..");

/** A server whose database `postgres` is copied. */
export interface TemplateServer extends AsyncDisposable {
  /** Its address. */
  readonly url: string;
}

/** A database for one test file, removed when disposed of. */
export interface OwnDatabase extends AsyncDisposable {
  /** Its address for `postgres`, the owner of the schema. */
  readonly url: string;
}

/**
 * Gives a new server what Supabase provides, and the migrations: not by its CLI, which takes most of the time of a start.
 *
 * @param adminUrl Its address for the superuser.
 */
export async function createSchema(
  adminUrl: string,
  project: Project,
  secrets: Secrets,
): Promise<void> {
  const url = asRole(adminUrl, "postgres");
  const admin = postgres(adminUrl, { max: 1, onnotice: () => {} });
  const owner = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await bootstrapSupabase(admin, decodeURIComponent(new URL(adminUrl).password));
    await ensureRealtimeSchema(admin);
    await ensureSystemSchema({ admin, databaseUrl: url, config: project.config, secrets });
    await applyFiles(owner, databaseFiles(project).migrations);
  } finally {
    await Promise.all([admin.end(), owner.end()]);
  }
}

/** Starts the server with the project's Postgres. */
export async function startTemplateServer(): Promise<TemplateServer> {
  const { url, server } = await openDatabase({
    project: await readProject(ROOT),
    secrets: generateSecrets(),
    isThrowaway: true,
    onLost: () => {},
    onRestart: () => {},
    signal: new AbortController().signal,
  });
  return { url, [Symbol.asyncDispose]: () => server.stop() };
}

/**
 * Makes a database with the whole schema on the server that the runner has started (its address is in
 * `TEST_TEMPLATE_SERVER`), or on one for a file that runs alone.
 */
export async function createOwnDatabase(): Promise<OwnDatabase> {
  await using cleanup = new AsyncDisposableStack();
  const url = Deno.env.get("TEST_TEMPLATE_SERVER") ?? cleanup.use(await startTemplateServer()).url;
  const name = `own_${crypto.randomUUID().replaceAll("-", "")}`;
  const run = async (statement: string) => {
    // A database with a session cannot be copied.
    const elsewhere = new URL(asRole(url, SUPERUSER));
    elsewhere.pathname = "template1";
    const sql = postgres(elsewhere.href, { max: 1, onnotice: () => {} });
    try {
      await sql.unsafe(statement);
    } finally {
      await sql.end();
    }
  };
  await run(`create database ${name} template postgres owner postgres`);
  cleanup.defer(() => run(`drop database ${name} with (force)`));
  const owned = cleanup.move();
  const own = new URL(url);
  own.pathname = name;
  return { url: own.href, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
