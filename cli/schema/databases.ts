/**
 * Databases to compare: one built from the schema files, one from the migrations, on a server of their own.
 *
 * @module
 */

import postgres from "postgres";
import { databaseFiles } from "../../local/postgres/migrate.ts";
import { asRole, bootstrapSupabase } from "../../local/postgres/roles.ts";
import { type ScratchServer, startScratchServer } from "../../local/postgres/scratch_server.ts";
import type { Project } from "../../local/project.ts";
import { ensureRealtimeSchema } from "../../local/realtime/schema.ts";
import { type Catalogue, readCatalogue } from "./catalogue.ts";

/** The parts of Auth that the schema refers to, owned as on hosted Supabase. */
const PROVIDED = `
  set role supabase_auth_admin;
  create table auth.users (id uuid primary key, email text, raw_user_meta_data jsonb);
  create function auth.uid() returns uuid language sql stable
    as $$ select nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$;
  reset role;
`;

/** What the schema files make, and what the migrations make. */
export interface Catalogues {
  readonly schemas: Catalogue;
  readonly migrations: Catalogue;
}

/**
 * Builds a database from the schema files and one from the migrations of a project, and reads both.
 *
 * @throws {Error} with the name of the file that Postgres refuses.
 */
export async function readBothCatalogues(project: Project): Promise<Catalogues> {
  const { schemas, migrations } = databaseFiles(project);
  await using server = await startScratchServer();
  const ownerUrl = await provideSupabase(server);
  const read = async (name: string, files: readonly string[]) =>
    await withClient(await buildDatabase(ownerUrl, name, files), readCatalogue);
  return {
    schemas: await read("schemas", schemas),
    migrations: await read("migrations", migrations),
  };
}

/**
 * Gives the database `postgres` of a new server what Supabase has before the first migration.
 *
 * @returns its address for `postgres`, the owner.
 */
export async function provideSupabase(server: ScratchServer): Promise<string> {
  await withClient(server.url, async (sql) => {
    await bootstrapSupabase(sql, server.password);
    await sql.unsafe(PROVIDED);
    await ensureRealtimeSchema(sql);
  });
  return asRole(server.url, "postgres");
}

/**
 * Builds a database from SQL files, as a copy of `postgres` and as its owner.
 *
 * @returns its address.
 * @throws {Error} with the name of the file that Postgres refuses.
 */
export async function buildDatabase(
  ownerUrl: string,
  name: string,
  files: readonly string[],
): Promise<string> {
  await withClient(ownerUrl, (sql) => sql.unsafe(`create database ${name} template postgres`));
  const url = new URL(ownerUrl);
  url.pathname = name;
  await withClient(url.href, (sql) => applyFiles(sql, files));
  return url.href;
}

/**
 * Runs SQL files in their order, each in one transaction as the CLI does it.
 *
 * @throws {Error} with the name of the file that Postgres refuses.
 */
export async function applyFiles(sql: postgres.Sql, files: readonly string[]): Promise<void> {
  for (const file of files) {
    const text = await Deno.readTextFile(file);
    try {
      await sql.begin((transaction) => transaction.unsafe(text));
    } catch (error) {
      throw new Error(`${file}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }
}

async function withClient<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}
